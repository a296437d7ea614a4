// What appears where the pointer rests: exact values, formulas, and for inputs their paths to the output.
import type { App } from "./app";
import type { Camera, Hit } from "./camera";
import { byId, h } from "./dom";
import { plural, shapeText, valueText } from "./numbers";
import { arrowTitle, computed, edgeText, routeLines } from "./texts";

const LONGEST = 420;
const cut = (s: string): string => (s.length > LONGEST ? `${s.slice(0, LONGEST - 1)}…` : s);

export class Tip {
  private readonly box = byId("tip");
  private shown: unknown = null;

  constructor(
    private readonly app: App,
    private readonly camera: Camera,
  ) {
    app.watch({ scene: () => this.hide(), position: () => this.hide() });
  }

  hide(): void {
    this.box.hidden = true;
    this.shown = null;
  }

  show(hit: Hit | null, x: number, y: number): void {
    if (hit === null) return this.hide();
    const what = hit.kind === "box" ? hit.box : hit.kind === "frame" ? hit.frame : hit.arrow;
    if (what !== this.shown) {
      this.shown = what;
      this.box.replaceChildren(...this.content(hit));
      this.box.hidden = false;
    }
    this.put(x, y);
  }

  /** Beside the pointer; what shows paths goes where it hides as little of them as it can. */
  private put(x: number, y: number): void {
    const { app, box } = this;
    const stage = box.offsetParent!.getBoundingClientRect();
    const { offsetWidth: w, offsetHeight: t } = box;
    const right = stage.width - w - 6;
    const low = stage.height - t - 6;
    const places: [number, number][] = [[Math.max(4, x + 16 + w > stage.width ? x - w - 12 : x + 16), Math.max(4, y + 18 + t > stage.height ? y - t - 12 : y + 18)]];
    if (app.route) places.push([6, 6], [6, low], [right, low], [right, 6]);
    const hidden = ([left, top]: [number, number]): number =>
      app.scene.boxes.filter((b) => {
        if (!app.onRoute(b.item)) return false;
        const [sx, sy] = this.camera.toScreen(b.x, b.y);
        return sx > left - 30 && sx < left + w + 30 && sy > top - 30 && sy < top + t + 30;
      }).length;
    const [left, top] = places.length > 1 ? places.map((p) => [hidden(p), p] as const).sort((a, b) => a[0] - b[0])[0]![1] : places[0]!;
    box.style.left = `${left}px`;
    box.style.top = `${top}px`;
  }

  private content(hit: Hit): Node[] {
    const { app } = this;
    const { model, tree } = app;
    if (hit.kind === "frame") {
      return [h("b", {}, hit.frame.group.label), h("div", { class: "faint" }, `${plural(hit.frame.group.count, "value")} inside · click to close`)];
    }
    if (hit.kind === "arrow") {
      const { edges } = hit.arrow;
      const lines = edges.slice(0, 3).flatMap((e) => [h("div", { class: "number" }, cut(edgeText(model, e, true))), model.rule(e) ? h("div", { class: "faint" }, model.rule(e)) : null]);
      const more = edges.length > 3 ? h("div", { class: "faint" }, `and ${plural(edges.length - 3, "more edge")}`) : null;
      return [h("b", {}, arrowTitle(app, hit.arrow)), ...lines, more].filter((x): x is HTMLElement => x !== null);
    }
    const { box } = hit;
    const node = box.node;
    const out: (Node | null)[] = [];
    if (box.group) {
      out.push(h("b", {}, box.group.label), h("div", { class: "faint" }, `${plural(box.group.count, "value")} inside · double-click or Enter opens`));
    } else {
      const operator = model.operator(node);
      out.push(h("div", {}, h("b", {}, model.name(node)), " ", h("span", { class: "kind" }, `${operator && operator !== model.name(node) ? `${operator}, ` : ""}${model.kindOf(node)}`)));
    }
    const known = app.steps.computedAt[node]! <= app.position;
    if (!model.isLeaf(node) && !box.group) out.push(h("div", { class: "number" }, cut(known ? computed(model, node) : computed(model, node).split(" = ").slice(0, 2).join(" = "))));
    // All digits of what is small; of more elements the gist, since the panel has them all.
    const full = model.size(node) <= 12;
    const value = known ? valueText(model, node, false, full) : "";
    if (value) out.push(h("div", { class: "value number" }, cut(value)));
    const gradient = app.position >= app.steps.doneAt[node]! ? valueText(model, node, true, full) : "";
    if (gradient) out.push(h("div", { class: "gradient number" }, `gradient ${cut(gradient)}`));
    out.push(h("div", { class: "faint" }, [`${shapeText(model.shape(node))} ${model.dtype(node)}`, box.group ? "" : model.module(node), place(app, node)].filter(Boolean).join(" · ")));
    if (app.route && app.route.start === node && !tree.isGroup(box.item)) {
      const r = routeLines(model, app.route);
      out.push(h("hr", { style: "border:0;border-top:1px solid var(--line);margin:6px 0" }), h("div", { class: "gradient" }, r.head));
      for (const line of new Set(r.lines)) out.push(h("div", { class: "number" }, cut(line)));
      for (const line of [r.more, r.factored || r.sum]) if (line) out.push(h("div", { class: line === r.more ? "faint" : "number" }, cut(line)));
    }
    return out.filter((x): x is Node => x !== null);
  }
}

function place(app: App, node: number): string {
  const p = app.model.place(node);
  return p === null ? "" : p[0] === "expression" ? `column ${p[1]}` : `${p[0]}:${p[1]}`;
}
