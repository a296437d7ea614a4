// Everything about the chosen box: value, gradient, rule, inputs, outputs, paths, source line; and where it can be edited.
import type { App } from "./app";
import { byId, h } from "./dom";
import { Editor } from "./editor";
import { arrayText, exact, plural, shapeText, short, valueText } from "./numbers";
import { routeBetween } from "./paths";
import type { Group } from "./tree";
import { computed, edgeText, routeLines } from "./texts";

const LISTED = 24;
const CELLS = 400;

export class Panel {
  private readonly box = byId("panel");
  readonly editor: Editor;

  constructor(
    private readonly app: App,
    private readonly go: (item: number) => void,
  ) {
    this.editor = new Editor(app);
    app.watch({ selected: () => this.refresh(), position: () => this.refresh(), values: () => this.refresh(true) });
  }

  /** after: an edit, during which the field that is typed into must stay. */
  refresh(after = false): void {
    const { app } = this;
    const item = app.selected;
    this.box.hidden = item === null;
    if (item === null) return;
    if (after && this.editor.node === item && this.box.contains(document.activeElement)) {
      for (const part of this.box.querySelectorAll("[data-live]")) part.remove();
      this.box.append(...this.live(item));
      return;
    }
    const top = this.box.dataset.item === String(item) ? this.box.scrollTop : 0;
    const close = h("button", { class: "close", "aria-label": "Close the details", click: () => this.go(-1) }, "✕");
    const parts = app.tree.isGroup(item) ? this.group(app.tree.at(item)) : [...this.head(item), ...this.live(item)];
    this.box.replaceChildren(close, ...parts);
    this.box.dataset.item = String(item);
    this.box.scrollTop = top;
  }

  private head(node: number): HTMLElement[] {
    const { model } = this.app;
    const operator = model.operator(node);
    const kind = model.kindOf(node);
    const line = [kind, operator && operator !== model.name(node) ? operator : "", shapeText(model.shape(node)), model.dtype(node)].filter(Boolean).join(" · ");
    const out: HTMLElement[] = [h("h2", {}, model.name(node)), h("p", { class: "faint" }, line)];
    if (model.isLeaf(node)) out.push(...this.editor.show(node));
    return out;
  }

  /** What changes when a value is edited or a step is taken. */
  private live(node: number): HTMLElement[] {
    const { model, steps, position } = this.app;
    const out: HTMLElement[] = [];
    const known = steps.computedAt[node]! <= position;
    const done = position >= steps.doneAt[node]!;
    if (!model.isLeaf(node)) out.push(h("p", { class: "number" }, known ? computed(model, node) : "not computed yet"));
    if (known) out.push(...this.array("Value", node, false));
    if (done && model.hasGradient(node)) out.push(...this.array("Gradient", node, true));
    else if (known && !model.hasGradient(node) && model.requiresGrad(node) && model.hasGradients) {
      out.push(h("p", { class: "note" }, "No gradient: no path to the output."));
    }
    out.push(...this.inputs(node), ...this.outputs(node), ...this.paths(node), ...this.params(node), ...this.place(node));
    return out.map((x) => (x.setAttribute("data-live", ""), x));
  }

  private array(title: string, node: number, gradient: boolean): HTMLElement[] {
    const { model } = this.app;
    const data = gradient ? model.gradient(node) : model.value(node);
    const shape = model.shape(node) ?? [];
    const dtype = model.dtype(node);
    const colour = gradient ? "gradient" : "value";
    const out: HTMLElement[] = [h("h3", {}, title)];
    if (data && shape.length && data.length > 1 && data.length <= CELLS) {
      const columns = shape[shape.length - 1]!;
      const rows: HTMLElement[] = [];
      for (let i = 0; i < data.length; i += columns) {
        rows.push(h("tr", {}, ...Array.from(data.subarray(i, i + columns), (x) => h("td", { title: exact(x, dtype) }, short(x, dtype)))));
      }
      out.push(h("table", { class: `matrix ${colour}` }, ...rows));
    } else out.push(h("p", { class: `number ${colour}` }, valueText(model, node, gradient, true) || "not held in this page"));
    return out;
  }

  private row(node: number, name: string, text: string, colour: string): HTMLElement {
    return h("button", { class: "row", click: () => this.go(node), title: `${name}: ${text}` }, h("span", {}, name), h("span", { class: `number ${colour}` }, text));
  }

  private inputs(node: number): HTMLElement[] {
    const { model } = this.app;
    const edges = model.edgesInto(node);
    if (!edges.length) return [];
    const out: HTMLElement[] = [h("h3", {}, "Inputs, and the derivative in each")];
    for (const e of edges.subarray(0, LISTED)) {
      const source = model.source[e]!;
      out.push(this.row(source, model.name(source), valueText(model, source), "value"), h("p", { class: "number rule" }, edgeText(model, e)));
      if (model.rule(e)) out.push(h("p", { class: "note rule" }, `Rule: ${model.rule(e)}`));
    }
    if (edges.length > LISTED) out.push(h("p", { class: "note" }, `and ${edges.length - LISTED} more`));
    return out;
  }

  private outputs(node: number): HTMLElement[] {
    const { model, steps } = this.app;
    const edges = model.edgesFrom(node);
    if (!edges.length) return [];
    const graded = model.hasGradient(node);
    const out: HTMLElement[] = [h("h3", {}, graded && edges.length > 1 ? "Used by, and what each adds to the gradient" : "Used by")];
    for (const e of edges.subarray(0, LISTED)) {
      const target = model.target[e]!;
      const part = graded && model.flows[e] && model.hasGradient(target) ? steps.contribution(e) : null;
      const text = part ? arrayText(part, model.shape(node) ?? [], model.dtype(node)) : model.flows[e] ? "" : "no gradient passes";
      out.push(this.row(target, model.name(target) === model.operator(target) ? model.operator(target) : `${model.name(target)} (${model.operator(target)})`, text, "gradient"));
    }
    if (edges.length > LISTED) out.push(h("p", { class: "note" }, `and ${edges.length - LISTED} more`));
    return out;
  }

  private paths(node: number): HTMLElement[] {
    const { model } = this.app;
    if (!model.requiresGrad(node) || !model.hasGradients) return [];
    const route = this.app.route?.start === node ? this.app.route : routeBetween(model, node);
    if (!route) return [];
    const r = routeLines(model, route);
    const shown = this.app.route?.start === node;
    const out = [
      h("h3", {}, "Paths"),
      h("p", {}, r.head, " ", h("button", { class: "plain", "aria-pressed": String(shown), click: () => (this.app.showPaths(shown ? null : node), this.refresh()) }, shown ? "Hide" : "Show them (p)")),
      h("ul", { class: "paths number" }, ...r.lines.map((line) => h("li", {}, line))),
    ];
    for (const line of [r.more, r.sum, r.factored]) if (line) out.push(h("p", { class: line === r.more ? "note" : "number" }, line));
    return out;
  }

  private params(node: number): HTMLElement[] {
    const entries = Object.entries(this.app.model.params(node)).filter(([k]) => k !== "name");
    if (!entries.length) return [];
    return [h("h3", {}, "Parameters of the operator"), h("dl", {}, ...entries.flatMap(([k, v]) => [h("dt", {}, k), h("dd", { class: "number" }, plainText(v))]))];
  }

  private place(node: number): HTMLElement[] {
    const { model, tree } = this.app;
    const out: HTMLElement[] = [];
    const module = model.module(node);
    const home = tree.parent[node]!;
    if (module) {
      const inside = home >= 0 && tree.at(home).kind !== "root";
      out.push(h("h3", {}, "Module"), h("p", {}, module, " ", inside && h("button", { class: "plain", click: () => this.app.close(home) }, "Close the box")));
    }
    const place = model.place(node);
    if (place) {
      const [file, line, text] = place;
      out.push(h("h3", {}, "Source"));
      if (file === "expression") out.push(h("code", { class: "source" }, text.slice(0, line - 1), h("mark", {}, text.slice(line - 1, line)), text.slice(line)), h("p", { class: "note" }, `column ${line}`));
      else out.push(h("p", {}, `${file}:${line}`), ...(text ? [h("code", { class: "source" }, text)] : []));
    }
    return out;
  }

  private group(g: Group): HTMLElement[] {
    const { model, tree } = this.app;
    const operators = new Map<string, number>();
    let parameters = 0;
    let elements = 0;
    const waiting = [g.item];
    while (waiting.length) {
      for (const c of tree.at(waiting.pop()!).children) {
        if (tree.isGroup(c)) waiting.push(c);
        else if (model.isLeaf(c)) {
          if (model.kindOf(c) === "parameter") {
            parameters++;
            elements += model.size(c);
          }
        } else operators.set(model.operator(c), (operators.get(model.operator(c)) ?? 0) + 1);
      }
    }
    const sorted = [...operators].sort((a, b) => b[1] - a[1]);
    const out: HTMLElement[] = [
      h("h2", {}, g.label),
      h("p", { class: "faint" }, `${g.kind === "module" ? "module" : g.kind === "fold" ? "repeated blocks" : "part"} · ${plural(g.count, "value")}${parameters ? ` · ${plural(parameters, "parameter")} (${plural(elements, "number")})` : ""}`),
      h("p", {}, h("button", { class: "plain", click: () => this.app.toggle(g.item) }, this.app.open.has(g.item) ? "Close (Enter)" : "Open (Enter)")),
    ];
    const box = this.app.scene.byItem.get(g.item);
    if (box && g.last >= 0) out.push(...this.array(`Value: ${model.name(box.node)}`, box.node, false), ...(model.hasGradient(box.node) ? this.array("Gradient", box.node, true) : []));
    if (sorted.length) out.push(h("h3", {}, "Computes"), ...sorted.slice(0, LISTED).map(([name, count]) => h("p", {}, `${name}${count > 1 ? ` ×${count}` : ""}`)));
    return out;
  }
}

function plainText(v: unknown): string {
  if (v === null) return "None";
  if (typeof v === "boolean") return v ? "True" : "False";
  if (Array.isArray(v)) return `(${v.map(plainText).join(", ")}${v.length === 1 ? "," : ""})`;
  if (typeof v === "object") {
    const o = v as Record<string, unknown>;
    if (typeof o.text === "string") return o.text;
    if (typeof o.dtype === "string") return o.dtype;
    if (Array.isArray(o.slice)) return o.slice.map((x) => (x === null ? "" : String(x))).join(":").replace(/:$/, "");
  }
  return String(v);
}
