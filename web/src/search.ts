// Search by name, operator, module and source line.
import type { App } from "./app";
import { byId, h } from "./dom";
import { plural } from "./numbers";

const LISTED = 60;

interface Found {
  item: number;
  title: string;
  detail: string;
}

export class Search {
  private readonly field = byId<HTMLInputElement>("search");
  private readonly list = byId<HTMLUListElement>("hits");
  private found: Found[] = [];
  private chosen = -1;

  constructor(
    private readonly app: App,
    private readonly go: (item: number) => void,
  ) {
    this.field.addEventListener("input", () => this.run());
    this.field.addEventListener("keydown", (e) => this.key(e));
    this.field.addEventListener("blur", () => window.setTimeout(() => this.close(), 150));
    this.field.addEventListener("focus", () => this.field.value && this.run());
    app.watch({ scene: () => this.mark() });
  }

  focus(): void {
    this.field.focus();
    this.field.select();
  }

  clear(): void {
    this.field.value = "";
    this.run();
  }

  /** All that matches: nodes by name, operator, module or line; groups by their label. */
  find(text: string): { nodes: number[]; groups: number[] } {
    const { model, tree } = this.app;
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const nodes: number[] = [];
    const groups: number[] = [];
    if (!words.length) return { nodes, groups };
    const lines = new Map<number, string>();
    const place = (i: number): string => {
      const k = model.placeKey(i);
      if (k < 0) return "";
      let known = lines.get(k);
      if (known === undefined) {
        const [file, line, source] = model.place(i)!;
        known = (file === "expression" ? `column ${line}` : `${file}:${line} line ${line} ${source}`).toLowerCase();
        lines.set(k, known);
      }
      return known;
    };
    for (let i = 0; i < model.n; i++) {
      const text = `${model.name(i)} ${model.operator(i)} ${model.module(i)}`.toLowerCase();
      if (words.every((w) => text.includes(w) || place(i).includes(w))) nodes.push(i);
    }
    for (const g of tree.used) {
      if (g.label && words.every((w) => g.label.toLowerCase().includes(w))) groups.push(g.item);
    }
    // Exact names first.
    const rank = (i: number): number => (model.name(i).toLowerCase() === text.toLowerCase() ? 0 : model.operator(i).toLowerCase() === text.toLowerCase() ? 1 : 2);
    nodes.sort((a, b) => rank(a) - rank(b) || a - b);
    return { nodes, groups };
  }

  private run(): void {
    const { app } = this;
    const { model, tree } = app;
    const text = this.field.value.trim();
    const { nodes, groups } = this.find(text);
    const places = (i: number): string => {
      const p = model.place(i);
      return [model.operator(i) || model.kindOf(i), model.module(i), p && p[0] !== "expression" ? `${p[0]}:${p[1]}` : ""].filter(Boolean).join(" · ");
    };
    this.found = [
      ...groups.slice(0, 10).map((g) => ({ item: g, title: tree.at(g).label, detail: plural(tree.at(g).count, "value") })),
      ...nodes.slice(0, LISTED).map((i) => ({ item: i, title: model.name(i), detail: places(i) })),
    ];
    this.nodes = nodes;
    this.groups = groups;
    this.mark();
    const rows = this.found.map((f, k) =>
      h("li", { role: "option", id: `hit${k}`, "aria-selected": "false", mousedown: (e) => (e.preventDefault(), this.take(k)) }, h("span", {}, f.title), h("small", {}, f.detail)),
    );
    const total = nodes.length + groups.length;
    if (text && !total) rows.push(h("li", { "aria-disabled": "true" }, h("small", {}, "Nothing found")));
    if (nodes.length > LISTED) rows.push(h("li", { "aria-disabled": "true" }, h("small", {}, `and ${nodes.length - LISTED} more`)));
    this.list.replaceChildren(...rows);
    this.list.hidden = !text;
    this.field.setAttribute("aria-expanded", String(!!text));
    this.choose(this.found.length ? 0 : -1);
    if (text) byId("live").textContent = `${plural(total, "match").replace("matchs", "matches")}`;
  }

  private nodes: number[] = [];
  private groups: number[] = [];

  private mark(): void {
    const { app } = this;
    app.matches.clear();
    for (const i of this.nodes) app.matches.add(app.scene.shown[i]!);
    for (const g of this.groups) if (app.scene.byItem.has(g)) app.matches.add(g);
    app.redraw();
  }

  private choose(k: number): void {
    this.chosen = k;
    [...this.list.children].forEach((row, i) => row.setAttribute("aria-selected", String(i === k)));
    this.list.children[k]?.scrollIntoView({ block: "nearest" });
    if (k >= 0) this.field.setAttribute("aria-activedescendant", `hit${k}`);
    else this.field.removeAttribute("aria-activedescendant");
  }

  private take(k: number): void {
    const f = this.found[k];
    if (!f) return;
    this.close();
    this.go(f.item);
  }

  private close(): void {
    this.list.hidden = true;
    this.field.setAttribute("aria-expanded", "false");
  }

  private key(e: KeyboardEvent): void {
    const count = this.found.length;
    if (e.key === "ArrowDown" && count) this.choose((this.chosen + 1) % count);
    else if (e.key === "ArrowUp" && count) this.choose((this.chosen + count - 1) % count);
    else if (e.key === "Enter") this.take(this.chosen);
    else if (e.key === "Escape") {
      this.clear();
      byId("canvas").focus();
    } else return;
    e.preventDefault();
    e.stopPropagation();
  }
}
