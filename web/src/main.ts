// Puts the page together.
import { App } from "./app";
import { Camera } from "./camera";
import { byId, h, icon } from "./dom";
import { help, keys } from "./keys";
import { legend, Overview } from "./legend";
import type { Doc } from "./model";
import { plural, valueText } from "./numbers";
import { Panel } from "./panel";
import { Player } from "./player";
import { Search } from "./search";
import { spoken } from "./texts";
import { Tip } from "./tip";

const LISTED = 400; // nodes up to which screen readers get a table of all values

const app = new App();
const camera = new Camera(app, byId<HTMLCanvasElement>("canvas"));
const tip = new Tip(app, camera);
const map = new Overview(app, camera);
new Panel(app, go);
const player = new Player(app, follow);
const search = new Search(app, go);

/** Choose an item, open what hides it, and bring it into sight; -1: choose nothing. */
function go(item: number): void {
  if (item < 0) {
    app.select(null);
    byId("canvas").focus();
    return;
  }
  app.reveal(item);
  app.select(item);
  follow(item);
  byId("live").textContent = spoken(app, item);
}

function follow(item: number): void {
  const box = app.scene.byItem.get(item);
  if (box) camera.show(box.x, box.y, true);
}

const actions = {
  fit: () => camera.fit(),
  overview: () => {
    app.overview();
    camera.fit(true);
  },
  openAll: () => {
    const all = app.openAll();
    camera.fit(true);
    byId("live").textContent = all ? "All boxes are open." : "Many boxes are open; the others open one by one.";
  },
  colour: () => {
    app.byGradient = !app.byGradient;
    byId("colour").setAttribute("aria-pressed", String(app.byGradient));
    legend(app);
    app.redraw();
  },
  theme: () => theme(!app.palette.dark),
  save: () => {
    const link = h("a", { href: URL.createObjectURL(new Blob([app.svg()], { type: "image/svg+xml" })), download: `${(app.model.title || "graph").replace(/[^\w-]+/g, "_").slice(0, 40)}.svg` });
    link.click();
    window.setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  },
  go,
};

function theme(dark: boolean): void {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  app.setTheme(dark);
  map.forget();
  legend(app);
}

byId("theme").replaceChildren(icon("theme"));
byId("openall").addEventListener("click", actions.openAll);
byId("closeall").addEventListener("click", actions.overview);
byId("fit").addEventListener("click", actions.fit);
byId("colour").addEventListener("click", actions.colour);
byId("export").addEventListener("click", actions.save);
byId("theme").addEventListener("click", actions.theme);
byId("helpbutton").addEventListener("click", help);
keys(app, camera, player, search, actions);

let resting = 0;
camera.onHit = (hit, x, y, click) => {
  if (click) {
    if (hit?.kind === "frame") app.close(hit.frame.group.item);
    else if (hit?.kind === "box") go(hit.box.item);
    else go(-1);
    tip.hide();
    return;
  }
  const item = hit?.kind === "box" ? hit.box.item : null;
  app.hover(item);
  window.clearTimeout(resting);
  // Resting on an input shows its paths; those shown by hand stay.
  const leaf = item !== null && !app.tree.isGroup(item) && app.model.isLeaf(item) && app.model.requiresGrad(item) && app.model.hasGradients;
  if (pinned() && app.route) tip.show(hit, x, y);
  else if (leaf) {
    if (app.route?.start === item) tip.show(hit, x, y);
    else {
      resting = window.setTimeout(() => {
        app.showPaths(item);
        tip.show(hit, x, y);
      }, app.model.m > 5000 ? 250 : 90);
    }
  } else {
    app.showPaths(null);
    tip.show(hit, x, y);
  }
};
const pinned = (): boolean => app.selected !== null && app.route?.start === app.selected;
camera.onResize = () => app.selected !== null && follow(app.selected);
camera.onDouble = (hit) => {
  if (hit?.kind === "box" && hit.box.group) app.toggle(hit.box.item);
};

app.watch({
  scene: () => {
    const { model } = app;
    const open = app.tree.used.length > 1;
    for (const id of ["openall", "closeall"]) byId(id).hidden = !open;
    byId("colour").hidden = !model.hasGradients;
    byId("title").replaceChildren(model.title || "graph", h("small", {}, `${plural(model.n, "node")}, ${plural(model.m, "edge")}`));
    byId("canvas").setAttribute("aria-label", `Graph ${model.title}: ${plural(app.scene.boxes.length, "box").replace("boxs", "boxes")} shown of ${plural(model.n, "node")}. Arrow keys move, ? lists all keys.`);
    document.title = model.title || "graph";
    legend(app);
  },
  values: outline,
});

/** The values as a table, for those who cannot see the drawing. */
function outline(): void {
  const { model } = app;
  const place = byId("outline");
  if (model.n > LISTED) return place.replaceChildren();
  const cells = (i: number): HTMLElement[] => [model.name(i), model.operator(i) || model.kindOf(i), valueText(model, i), valueText(model, i, true)].map((t) => h("td", {}, t));
  const head = h("tr", {}, ...["name", "made by", "value", "gradient"].map((t) => h("th", {}, t)));
  place.replaceChildren(h("table", {}, h("caption", {}, "All values"), head, ...Array.from({ length: model.n }, (_, i) => h("tr", {}, ...cells(i)))));
}

function printable(): void {
  const place = byId("print");
  const title = h("h1", {}, app.model.title || "graph");
  const picture = h("div", {});
  picture.innerHTML = app.printed(); // our own text, in which every label is escaped
  const note = h("div", { class: "legend" }, "Above a node its value, below it its gradient; on the arrows the local derivative.");
  place.replaceChildren(title, picture, note);
}
window.addEventListener("beforeprint", printable);
window.addEventListener("afterprint", () => byId("print").replaceChildren());

const dark = window.matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", (e) => theme(e.matches));

function open(doc: Doc): void {
  app.load(doc);
  outline();
  camera.measure();
  camera.fit(true);
}
document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
open(JSON.parse(byId("graph").textContent!) as Doc);
theme(dark.matches);
camera.paint(); // at once, not with the next frame
performance.mark("chainrule-drawn");

/** For scripts and tests: the page's parts, and where a box is on the screen. */
Object.assign(window, {
  chainrule: {
    app, camera, player, search, open, go,
    place: (item: number): [number, number] => {
      const box = app.scene.byItem.get(item)!;
      const area = byId("canvas").getBoundingClientRect();
      const [x, y] = camera.toScreen(box.x, box.y);
      return [x + area.left, y + area.top];
    },
  },
});
