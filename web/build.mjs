// Bundles src/ into one HTML file with a place for the graph, and writes down which sources it was made from.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const here = new URL(".", import.meta.url);
const target = new URL("../src/chainrule/graphs/page/page.html", here);

/** The sources in the order of their names: what tests/test_page.py hashes, too. */
export function sources() {
  const found = readdirSync(new URL("src/", here), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath ?? entry.path}/${entry.name}`.replaceAll("\\", "/").split("/web/src/").at(-1))
    .map((name) => name.replace(/^\/+/, "").replaceAll("//", "/"));
  return found.sort((a, b) => (a < b ? -1 : 1));
}

const hash = createHash("sha256");
for (const name of sources()) {
  hash.update(`${name}\n`);
  hash.update(readFileSync(new URL(`src/${name}`, here)));
}
for (const name of ["package.json", "package-lock.json", "tsconfig.json", "build.mjs"]) {
  hash.update(readFileSync(new URL(name, here)));
}

const options = { bundle: true, minify: true, write: false, charset: "utf8", legalComments: "none" };
const script = await build({ ...options, entryPoints: [new URL("src/main.ts", here).pathname], format: "iife", target: "es2022" });
const style = await build({ ...options, entryPoints: [new URL("src/style.css", here).pathname] });

const parts = {
  "/*sources*/": hash.digest("hex"),
  "/*style*/": style.outputFiles[0].text.trim(),
  "/*script*/": script.outputFiles[0].text.trim().replaceAll("</script", "<\\/script"),
};
let page = readFileSync(new URL("src/page.html", here), "utf8");
for (const [place, text] of Object.entries(parts)) {
  page = page.replace(place, () => text);
}
writeFileSync(target, page);
console.log(`page.html: ${(page.length / 1000).toFixed(1)} kB`);
