// What is drawn: the boxes and arrows that are open to view, with places. Built anew when something opens or closes.
import { layLevel, type LevelOutput } from "./layers";
import type { Model } from "./model";
import { brief, general, shortened, valueText } from "./numbers";
import { hasOwnName, symbol, textWidth, type Shown } from "./theme";
import type { Group, Tree } from "./tree";

export const NAME = 14;
export const SMALL = 12;
export const LINE = 19;
const MOST = 26;
const TITLE = 24; // of an open module, above what is in it
const PAD = 14;
const LABELLED = 300; // arrows up to which local derivatives have room on them

export interface Box {
  item: number;
  kind: Shown;
  inside: string;
  /** Before the value, in "name = value"; "" for a leaf. */
  name: string;
  x: number;
  y: number;
  /** Of the shape. */
  width: number;
  height: number;
  /** The node whose value and gradient are shown: for a closed group the one that it computes last. */
  node: number;
  group: Group | null;
}

export interface Frame {
  group: Group;
  left: number;
  top: number;
  width: number;
  height: number;
  depth: number;
}

export interface Segment {
  curve: Float64Array;
  head: boolean;
}

export interface Arrow {
  source: number;
  target: number;
  /** Edges of the graph that it stands for. */
  edges: number[];
  segments: number[];
  label: [number, number] | null;
}

export interface Bounds {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

interface Wish {
  from: number;
  to: number;
  source: number;
  arrow: number;
  segment: number;
  fromPort: boolean;
  toPort: boolean;
  fromBorder: boolean;
  toBorder: boolean;
}

interface Level {
  group: Group;
  wishes: Wish[];
  index: Map<number, number>; // child item -> place
  entries: Map<number, number>; // source item -> place of the port on the left
  exits: Map<number, number>;
  placed: LevelOutput | null;
  /** Of the frame, in the level's own coordinates. */
  frame: Bounds;
}

export class Scene {
  readonly boxes: Box[] = [];
  readonly frames: Frame[] = [];
  readonly arrows: Arrow[] = [];
  readonly segments: Segment[] = [];
  readonly byItem = new Map<number, Box>();
  /** The room that texts have: per box, and per arrow with a label. */
  private readonly room = new Map<Box | Arrow, number>();
  /** The item that each node is shown in. */
  readonly shown: Int32Array;
  readonly outOf = new Map<number, Arrow[]>();
  readonly into = new Map<number, Arrow[]>();
  bounds: Bounds = { left: 0, top: 0, right: 0, bottom: 0 };
  private readonly levels = new Map<number, Level>();

  constructor(
    readonly model: Model,
    readonly tree: Tree,
    readonly open: ReadonlySet<number>,
  ) {
    this.shown = new Int32Array(model.n);
    this.collect();
    this.connect();
    this.place();
  }

  // ---- what is there

  private collect(): void {
    const { tree, open } = this;
    const waiting = [tree.root];
    while (waiting.length) {
      const g = waiting.pop()!;
      this.levels.set(g.item, {
        group: g, wishes: [], index: new Map(g.children.map((c, i) => [c, i])), entries: new Map(), exits: new Map(),
        placed: null, frame: { left: 0, top: 0, right: 0, bottom: 0 },
      });
      for (const c of g.children) {
        if (tree.isGroup(c) && open.has(c)) {
          waiting.push(tree.at(c));
          continue;
        }
        this.box(c);
        this.fill(c);
      }
    }
  }

  private fill(item: number): void {
    const { tree, shown } = this;
    const waiting = [item];
    while (waiting.length) {
      const c = waiting.pop()!;
      if (tree.isGroup(c)) for (const inner of tree.at(c).children) waiting.push(inner);
      else shown[c] = item;
    }
  }

  private box(item: number): void {
    const { model, tree } = this;
    const group = tree.isGroup(item) ? tree.at(item) : null;
    let node = item;
    if (group) node = group.last >= 0 ? this.lastRead(group) : group.children[0]!;
    while (tree.isGroup(node)) node = tree.at(node).children[0]!;
    const kind: Shown = group ? "module" : model.kindOf(item);
    const operator = model.operator(node);
    const computed = !group && !model.isLeaf(node);
    const inside = shortened(group || !computed ? this.relative(item) : symbol(operator), MOST);
    const name = computed && hasOwnName(model.name(node), operator) ? shortened(model.name(node), MOST) : "";
    const width = textWidth(inside, NAME);
    const round = kind === "operator" || kind === "output";
    const made: Box = {
      item, kind, inside, name, node, group, x: 0, y: 0,
      width: round ? Math.max(34, width + 20) : Math.max(36, width + (kind === "parameter" || kind === "module" ? 34 : 20)),
      height: round ? 34 : 30,
    };
    this.boxes.push(made);
    this.byItem.set(item, made);
  }

  /** A name without what the open modules around it say already. */
  relative(item: number): string {
    const { model, tree } = this;
    const whole = tree.isGroup(item) ? tree.at(item).label : model.name(item);
    const home = tree.parent[item]!;
    const path = home < 0 ? "" : tree.at(home).path;
    if (!path || !whole.startsWith(`${path}.`)) return whole;
    const rest = whole.slice(path.length + 1);
    return /^\d/.test(rest) ? `${path.split(".").at(-1)}.${rest}` : rest;
  }

  /** The value of a group: the last one that something outside reads, else the last. */
  private lastRead(group: Group): number {
    const { model, tree } = this;
    for (let i = group.last, tries = 0; i >= group.first && tries < 400; i--, tries++) {
      if (model.isLeaf(i)) continue;
      for (const e of model.edgesFrom(i)) {
        let up = tree.parent[model.target[e]!]!;
        while (up >= 0 && up !== group.item) up = tree.parent[up]!;
        if (up < 0 && this.within(i, group)) return i;
      }
    }
    return group.last;
  }

  private within(node: number, group: Group): boolean {
    let up = this.tree.parent[node]!;
    while (up >= 0 && up !== group.item) up = this.tree.parent[up]!;
    return up >= 0;
  }

  private connect(): void {
    const { model, shown } = this;
    const drawn = new Map<number, Arrow>();
    const base = model.n + this.tree.groups.length;
    for (let e = 0; e < model.m; e++) {
      const a = shown[model.source[e]!]!;
      const b = shown[model.target[e]!]!;
      if (a === b) continue;
      const single = a < model.n && b < model.n;
      const key = a * base + b;
      const found = single ? undefined : drawn.get(key);
      if (found) {
        found.edges.push(e);
        continue;
      }
      const arrow: Arrow = { source: a, target: b, edges: [e], segments: [], label: null };
      if (!single) drawn.set(key, arrow);
      this.arrows.push(arrow);
      (this.outOf.get(a) ?? this.outOf.set(a, []).get(a)!).push(arrow);
      (this.into.get(b) ?? this.into.set(b, []).get(b)!).push(arrow);
    }
    const made = new Map<string, number>();
    this.arrows.forEach((arrow, k) => this.route(arrow, k, made));
  }

  /** Cut an arrow at the borders of the open groups that it crosses. */
  private route(arrow: Arrow, k: number, made: Map<string, number>): void {
    const { parent } = this.tree;
    const { source, target } = arrow;
    const up: number[] = [];
    for (let g = parent[source]!; g >= 0; g = parent[g]!) up.push(g);
    const down: number[] = [];
    for (let g = parent[target]!; g >= 0; g = parent[g]!) down.push(g);
    while (up.length > 1 && down.length > 1 && up.at(-2) === down.at(-2)) {
      up.pop();
      down.pop();
    }
    const common = up.pop()!;
    down.pop();
    let from = source;
    for (const g of up) {
      this.wish(arrow, k, made, g, from, -1);
      from = g;
    }
    down.reverse();
    this.wish(arrow, k, made, common, from, down[0] ?? target);
    down.forEach((g, i) => this.wish(arrow, k, made, g, -1, down[i + 1] ?? target));
  }

  /** One piece within a group; -1 stands for its border. */
  private wish(arrow: Arrow, k: number, made: Map<string, number>, g: number, from: number, to: number): void {
    const { source, target } = arrow;
    const direct = from === source && to === target;
    const key = direct ? "" : `${g},${from},${to},${source}`;
    let segment = direct ? undefined : made.get(key);
    if (segment === undefined) {
      const level = this.levels.get(g)!;
      segment = this.segments.push({ curve: new Float64Array(), head: to === target }) - 1;
      if (!direct) made.set(key, segment);
      const port = (map: Map<number, number>): number => map.get(source) ?? map.set(source, map.size).get(source)!;
      level.wishes.push({
        from: from < 0 ? port(level.entries) : level.index.get(from)!,
        to: to < 0 ? port(level.exits) : level.index.get(to)!,
        source, arrow: k, segment, fromBorder: from < 0, toBorder: to < 0,
        fromPort: from >= 0 && from !== source, toPort: to >= 0 && to !== target,
      });
    }
    arrow.segments.push(segment);
  }

  // ---- where it is

  private place(): void {
    const order = [...this.levels.values()];
    const labels = this.arrows.length <= LABELLED;
    for (const level of order.reverse()) this.layout(level, labels);
    // Back to front: outer groups are placed before what is in them.
    const origin = new Map([[this.tree.root.item, [0, 0] as [number, number]]]);
    for (const level of order.reverse()) {
      const [dx, dy] = origin.get(level.group.item)!;
      const placed = level.placed!;
      level.group.children.forEach((c, i) => {
        const x = placed.x[i]! + dx;
        const y = placed.y[i]! + dy;
        const box = this.byItem.get(c);
        if (box) {
          box.x = x;
          box.y = y;
          return;
        }
        const inner = this.levels.get(c)!.frame;
        const left = x - (inner.right - inner.left) / 2;
        const top = y - (inner.bottom - inner.top) / 2;
        origin.set(c, [left - inner.left, top - inner.top]);
        this.frames.push({
          group: this.tree.at(c), left, top, width: inner.right - inner.left, height: inner.bottom - inner.top,
          depth: this.depth(c),
        });
      });
      level.wishes.forEach((w, i) => {
        const curve = placed.curves[i]!;
        for (let j = 0; j < curve.length; j += 2) {
          curve[j]! += dx;
          curve[j + 1]! += dy;
        }
        this.segments[w.segment]!.curve = curve;
        const label = placed.labels[i];
        if (label) this.arrows[w.arrow]!.label = [label[0] + dx, label[1] + dy];
      });
      if (level.group.kind === "root") this.bounds = level.frame;
    }
  }

  private depth(item: number): number {
    let depth = 0;
    for (let g = this.tree.parent[item]!; g >= 0; g = this.tree.parent[g]!) depth++;
    return depth;
  }

  private layout(level: Level, labels: boolean): void {
    const { model } = this;
    const children = level.group.children;
    const k = children.length;
    const n = k + level.entries.size + level.exits.size;
    const width = new Float64Array(n);
    const above = new Float64Array(n);
    const below = new Float64Array(n);
    const span = new Float64Array(n);
    const border = new Uint8Array(n);
    let frames = 0;
    children.forEach((c, i) => {
      const box = this.byItem.get(c);
      if (box) {
        const value = this.valueLine(box);
        const gradient = brief(valueText(model, box.node, true));
        const arriving = this.into.get(c)?.length ?? 0;
        box.height += Math.max(0, arriving - 4) * 7;
        span[i] = Math.min(0.7 * box.height, 9 * (arriving - 1) + 5);
        width[i] = Math.max(box.width + 14, textWidth(value, SMALL), textWidth(gradient, SMALL));
        this.room.set(box, width[i]!);
        above[i] = box.height / 2 + LINE;
        below[i] = box.height / 2 + (model.hasGradients ? LINE : 4);
      } else {
        frames++;
        const f = this.levels.get(c)!.frame;
        width[i] = f.right - f.left;
        above[i] = (f.bottom - f.top) / 2 + 4;
        below[i] = above[i]!;
      }
    });
    for (let i = k; i < n; i++) border[i] = i < k + level.entries.size ? 1 : 2;
    const m = level.wishes.length;
    const from = new Int32Array(m);
    const to = new Int32Array(m);
    const fromAt = new Float64Array(m);
    const toAt = new Float64Array(m);
    const label = new Float64Array(m);
    level.wishes.forEach((w, e) => {
      from[e] = w.fromBorder ? k + w.from : w.from;
      to[e] = w.toBorder ? k + level.entries.size + w.to : w.to;
      if (w.fromPort) fromAt[e] = this.port(children[w.from]!, w.source, false);
      if (w.toPort) toAt[e] = this.port(children[w.to]!, w.source, true);
      if (labels && this.segments[w.segment]!.head) {
        const arrow = this.arrows[w.arrow]!;
        label[e] = this.labelWidth(arrow);
        if (label[e]) this.room.set(arrow, label[e]!);
      }
    });
    const reach = (v: number, off: number): number => {
      const box = v < k ? this.byItem.get(children[v]!) : undefined;
      return box ? outlineReach(box, off) : width[v]! / 2;
    };
    const placed = layLevel({ n, width, above, below, border, from, to, fromAt, toAt, label, span, reach, level: frames > 3 });
    level.placed = placed;
    const root = level.group.kind === "root";
    level.frame = {
      left: root || level.entries.size ? 0 : -PAD,
      right: placed.width + (root || level.exits.size ? 0 : PAD),
      top: placed.top - (root ? 0 : TITLE + 4),
      bottom: placed.bottom + (root ? 0 : 8),
    };
  }

  /** How far off the middle of an open group's side an edge enters or leaves. */
  private port(item: number, source: number, entry: boolean): number {
    const level = this.levels.get(item)!;
    const k = level.group.children.length;
    const place = entry ? k + level.entries.get(source)! : k + level.entries.size + level.exits.get(source)!;
    return level.placed!.y[place]! - (level.frame.top + level.frame.bottom) / 2;
  }

  /** The text over a box. */
  valueLine(box: Box): string {
    const text = brief(valueText(this.model, box.node));
    if (box.kind === "constant" && text === box.inside) return "";
    return box.name && text ? `${box.name} = ${text}` : box.name || text;
  }

  /** The local derivative on an arrow. */
  label(arrow: Arrow): string {
    if (arrow.edges.length > 1 || arrow.source >= this.model.n || arrow.target >= this.model.n) return "";
    const e = arrow.edges[0]!;
    if (!this.model.isScalarEdge(e)) return "";
    const local = this.model.local(e);
    return local ? general(local[0]!) : "";
  }

  /** Whether texts have become longer than the room that they were given. */
  get tight(): boolean {
    const slack = 14;
    for (const box of this.boxes) {
      const room = this.room.get(box)! + slack;
      if (textWidth(this.valueLine(box), SMALL) > room || textWidth(brief(valueText(this.model, box.node, true)), SMALL) > room) return true;
    }
    return this.arrows.some((a) => a.label !== null && this.labelWidth(a) > this.room.get(a)! + slack);
  }

  private labelWidth(arrow: Arrow): number {
    const text = this.label(arrow);
    return text ? Math.max(textWidth(text, SMALL), 22) + 6 : 0;
  }
}

/** From a box's centre to its outline, so far off the centre line. */
export function outlineReach(box: Box, off: number): number {
  const half = box.width / 2;
  const side = box.height / 2;
  const away = Math.min(Math.abs(off), side);
  if (box.kind === "operator" || box.kind === "output") return half * Math.sqrt(1 - (away / side) ** 2);
  if (box.kind === "parameter") return half - (Math.min(box.height / 3, box.width / 4) * away) / side;
  return half;
}
