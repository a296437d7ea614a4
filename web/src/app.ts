// The page's state, and what changes it. The parts of the page (camera, panel, player, search) read it and are told.
import { draw, type ArrowLook, type Look, type Style } from "./draw";
import { Engine } from "./engine/engine";
import { Model, type Doc } from "./model";
import { arrayText, brief, general, valueText } from "./numbers";
import { type Route, routeBetween } from "./paths";
import { Scene, type Arrow, type Bounds, type Box } from "./scene";
import { Steps } from "./steps";
import { strips, SvgPen } from "./svgpen";
import { DARK, LIGHT, NOT_FINITE, scaleColour, type Palette } from "./theme";
import { Tree } from "./tree";

const MOST_BOXES = 20_000; // that one key opens
export const PARTIAL = 5000; // backward steps up to which half-finished sums are shown

export interface Watcher {
  /** Another scene: something was opened or closed, or another graph is shown. */
  scene?: () => void;
  selected?: () => void;
  position?: () => void;
  values?: () => void;
  drawn?: () => void;
}

export class App {
  model!: Model;
  tree!: Tree;
  scene!: Scene;
  steps!: Steps;
  engine!: Engine;
  open = new Set<number>();
  /** Items. */
  selected: number | null = null;
  hovered: number | null = null;
  matches = new Set<number>();
  position = 0;
  palette: Palette = LIGHT;
  byGradient = false;
  route: Route | null = null;
  magnitudes: { low: number; high: number } | null = null;
  private routeItems = new Set<number>();
  private routeArrows = new Set<Arrow>();
  private size = new Map<number, number>();
  private readonly watchers: Watcher[] = [];
  private pending = false;
  private readonly partials = new Map<number, Float64Array | null>();
  onDraw: () => void = () => undefined;

  watch(w: Watcher): void {
    this.watchers.push(w);
  }
  private tell(what: keyof Watcher): void {
    for (const w of this.watchers) w[what]?.();
  }

  load(doc: Doc): void {
    this.model = new Model(doc);
    this.tree = new Tree(this.model);
    this.steps = new Steps(this.model);
    this.engine = new Engine(this.model);
    this.open = this.tree.opening(doc.most);
    this.selected = this.hovered = this.route = null;
    this.matches.clear();
    this.position = this.steps.total;
    this.partials.clear();
    this.measure();
    this.rebuild();
  }

  redraw(): void {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.onDraw();
      this.tell("drawn");
    });
  }

  private rebuild(): void {
    this.scene = new Scene(this.model, this.tree, this.open);
    this.trail();
    this.tell("scene");
    this.redraw();
  }

  // ---- opening and closing

  toggle(item: number): void {
    if (!this.tree.isGroup(item) || item === this.tree.root.item) return;
    if (this.open.has(item)) this.close(item);
    else {
      this.open.add(item);
      if (this.selected === item) this.selected = null;
      this.rebuild();
      this.tell("selected");
    }
  }

  close(item: number): void {
    this.open.delete(item);
    const waiting = [item];
    while (waiting.length) {
      for (const c of this.tree.at(waiting.pop()!).children) {
        if (this.tree.isGroup(c) && this.open.delete(c)) waiting.push(c);
      }
    }
    if (this.selected !== null && !this.tree.isGroup(this.selected)) this.selected = null;
    this.rebuild();
    this.select(item);
  }

  overview(): void {
    this.open = this.tree.opening(this.model.doc.most ?? 60);
    this.selected = null;
    this.rebuild();
    this.tell("selected");
  }

  /** Open all boxes, from the outside in, as far as a drawing can be moved smoothly; false if some stay closed. */
  openAll(): boolean {
    const { tree, open } = this;
    const waiting = [tree.root];
    let boxes = 1;
    for (let k = 0; k < waiting.length; k++) {
      const g = waiting[k]!;
      if (boxes + g.children.length > MOST_BOXES) continue;
      boxes += g.children.length - 1;
      open.add(g.item);
      for (const c of g.children) if (tree.isGroup(c)) waiting.push(tree.at(c));
    }
    this.rebuild();
    return tree.used.every((g) => open.has(g.item));
  }

  /** Open what hides a node. */
  reveal(node: number): void {
    let changed = false;
    for (let g = this.tree.parent[node]!; g >= 0; g = this.tree.parent[g]!) {
      if (!this.open.has(g)) {
        this.open.add(g);
        changed = true;
      }
    }
    if (changed) this.rebuild();
  }

  // ---- selection, hovering, paths

  select(item: number | null): void {
    this.selected = item;
    this.tell("selected");
    this.redraw();
  }

  hover(item: number | null): void {
    if (this.hovered === item) return;
    this.hovered = item;
    this.redraw();
  }

  /** Show the paths from a node to the output; null: none. */
  showPaths(node: number | null): void {
    if (node === null && this.route === null) return;
    this.route = node === null ? null : routeBetween(this.model, node);
    this.trail();
    this.redraw();
  }

  onRoute(item: number): boolean {
    return this.routeItems.has(item);
  }

  private trail(): void {
    this.routeItems = new Set();
    this.routeArrows = new Set();
    if (!this.route) return;
    for (const k of this.route.nodes) this.routeItems.add(this.scene.shown[k]!);
    for (const a of this.scene.arrows) {
      if (a.edges.some((e) => this.route!.edges.has(e))) this.routeArrows.add(a);
    }
  }

  // ---- steps

  go(position: number): void {
    const to = Math.max(0, Math.min(this.steps.total, Math.round(position)));
    if (to === this.position) return;
    this.position = to;
    this.partials.clear();
    this.tell("position");
    this.redraw();
  }

  /** The next (or previous) position at which something changes that is open to view. */
  neighbour(direction: 1 | -1): number {
    const { steps, scene, tree } = this;
    const itemAt = (p: number): number => {
      const s = steps.at(p);
      return s === null ? -1 : scene.shown[s.node]!;
    };
    let p = this.position;
    if (direction > 0) {
      if (p >= steps.total) return p;
      p++;
      const item = itemAt(p);
      while (tree.isGroup(item) && p < steps.total && p !== steps.turn && itemAt(p + 1) === item) p++;
      return p;
    }
    const item = itemAt(p);
    p = Math.max(0, p - 1);
    while (tree.isGroup(item) && p > 0 && p !== steps.turn && itemAt(p) === item) p--;
    return p;
  }

  get atEnd(): boolean {
    return this.position >= this.steps.total;
  }

  // ---- values

  /** Give leaves new values and compute everything anew; null: back to what Python computed. */
  edit(values: Map<number, Float64Array> | null): void {
    this.model.edit = values === null || values.size === 0 ? null : this.engine.run(values);
    this.partials.clear();
    this.measure();
    if (this.scene.tight) this.rebuild();
    if (this.route) this.showPaths(this.route.start);
    this.tell("values");
    this.redraw();
  }

  private measure(): void {
    const { model } = this;
    this.size.clear();
    let low = Infinity;
    let high = 0;
    for (let i = 0; i < model.n; i++) {
      const g = magnitude(model, i);
      if (g === null) continue;
      this.size.set(i, g);
      if (g > 0 && Number.isFinite(g)) {
        low = Math.min(low, g);
        high = Math.max(high, g);
      }
    }
    this.magnitudes = high > 0 ? { low: Math.max(low, high * 1e-12), high } : null;
  }

  gradientColour(node: number): [string, string] | null {
    const g = this.size.get(node);
    if (g === undefined) return null;
    if (!Number.isFinite(g)) return NOT_FINITE;
    const range = this.magnitudes;
    if (!range || g === 0) return scaleColour(0);
    const span = Math.log(range.high / range.low);
    return scaleColour(span > 0 ? Math.log(Math.max(g, range.low) / range.low) / span : 1);
  }

  // ---- drawing

  valueAt(box: Box): string {
    if (this.steps.computedAt[box.node]! > this.position) return box.name;
    return this.scene.valueLine(box);
  }

  gradientAt(box: Box): string {
    const { steps, model } = this;
    const node = box.node;
    if (!model.hasGradient(node)) return "";
    if (this.position >= steps.doneAt[node]!) return brief(valueText(model, node, true));
    if (this.position < steps.firstAt[node]! || steps.total - steps.turn > PARTIAL || box.group) return "";
    let part = this.partials.get(node);
    if (part === undefined) this.partials.set(node, (part = steps.partial(node, this.position)));
    return part === null ? "…" : `${brief(arrayText(part, model.shape(node) ?? [], model.dtype(node)))} + …`;
  }

  style(palette = this.palette): Style {
    const { steps, scene, position } = this;
    const route = this.route !== null;
    const step = this.atEnd ? null : steps.at(position);
    const active = step ? scene.shown[step.node]! : -1;
    const searching = this.matches.size > 0;
    const activeArrow = step && step.edge !== null && step.edge >= 0 ? step.edge : -1;
    const look = (box: Box): Look => {
      const known = steps.computedAt[box.node]! <= position;
      let ring = "";
      if (box.item === this.selected) ring = palette.accent;
      else if (box.item === active) ring = position > steps.turn ? palette.gradient : palette.value;
      else if (box.item === this.hovered) ring = palette.faint;
      else if (this.matches.has(box.item)) ring = palette.accent;
      const dim = (route && !this.routeItems.has(box.item)) || (!route && searching && !this.matches.has(box.item) && box.item !== this.selected) || !known;
      const fill = this.byGradient && position >= steps.doneAt[box.node]! ? this.gradientColour(box.node) : null;
      return { value: this.valueAt(box), gradient: this.gradientAt(box), fill, dim, ring };
    };
    const arrow = (a: Arrow): ArrowLook | null => {
      if (this.routeArrows.has(a)) return { colour: palette.gradient, width: 2.4, label: scene.label(a), dim: false };
      if (step === null) return null;
      if (activeArrow >= 0 ? a.edges.includes(activeArrow) : a.target === active && position <= steps.turn && step.edge === null) {
        const backward = activeArrow >= 0;
        return { colour: backward ? palette.gradient : palette.value, width: 2.4, label: backward ? scene.label(a) : "", dim: false };
      }
      return null;
    };
    const passed = (a: Arrow): boolean => position >= steps.doneAt[this.model.source[a.edges[0]!]!]! || this.atEnd;
    return {
      palette, look, arrow,
      plainLabel: (a) => (passed(a) ? scene.label(a) : ""),
      dimArrows: route || searching,
    };
  }

  private drawn(palette: Palette): { pen: SvgPen; bounds: Bounds } {
    const { left, top, right, bottom } = this.scene.bounds;
    const pen = new SvgPen();
    const all: Bounds = { left: -Infinity, top: -Infinity, right: Infinity, bottom: Infinity };
    draw(pen.pen, this.scene, this.style(palette), all, 1);
    return { pen, bounds: { left: left - 16, top: top - 16, right: right + 16, bottom: bottom + 16 } };
  }

  /** The whole drawing as SVG. */
  svg(): string {
    const { pen, bounds } = this.drawn(this.palette);
    return pen.svg(bounds, this.palette.ground, this.model.title || "graph of a computation");
  }

  /** The whole drawing for paper, in light colours. */
  printed(): string {
    const { pen, bounds } = this.drawn(LIGHT);
    return strips(pen, bounds, this.scene.boxes);
  }

  setTheme(dark: boolean): void {
    this.palette = dark ? DARK : LIGHT;
    this.redraw();
  }
}

/** The largest element of a gradient, NaN if there is one. */
function magnitude(model: Model, i: number): number | null {
  const g = model.gradient(i);
  if (g === null) {
    const s = model.summary(i, true);
    return s && Math.max(Math.abs(s.min), Math.abs(s.max));
  }
  let most = 0;
  for (const x of g) {
    const a = Math.abs(x);
    if (a > most || Number.isNaN(a)) most = a;
    if (Number.isNaN(a)) break;
  }
  return most;
}

export const legendRange = (x: number): string => general(x, 2);
