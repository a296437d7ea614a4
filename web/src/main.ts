import { App } from "./app";
import { Camera } from "./camera";
import type { Doc } from "./model";

const app = new App();
const camera = new Camera(app, document.querySelector("#canvas")!);
const doc = JSON.parse(document.querySelector("#graph")!.textContent!) as Doc;
app.load(doc);
camera.measure();
camera.fit(true);
