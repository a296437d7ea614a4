// What can be opened and closed: calls of modules, repeated blocks ("×12"), and for long programs without modules parts.
//
// Items are numbers: below `n` a node, from `n` on a group. A group holds nodes computed one after the other, so whatever
// is closed, arrows go from earlier to later items.
import type { Model } from "./model";

export type GroupKind = "root" | "module" | "fold" | "part";

export interface Group {
  item: number;
  kind: GroupKind;
  label: string;
  path: string;
  children: number[];
  /** Nodes inside, at any depth. */
  count: number;
  /** The node computed last; -1 in a group of leaves. */
  last: number;
  first: number;
}

const CROWD = 60; // children of a group beyond which repeated blocks and parts are made
const AWAY = 40; // how many candidates for a period are tried

export class Tree {
  /** All that were made, by number; some were found to say nothing and are not in use. */
  readonly groups: Group[] = [];
  /** Those that can be opened, the root first. */
  used: Group[] = [];
  /** The group that each item stands in; -1 for the root. */
  parent: Int32Array;
  private readonly marks: number[] = [];
  private readonly byMark = new Map<string, number>();

  constructor(
    readonly model: Model,
    private readonly crowd = CROWD,
  ) {
    const { n } = model;
    const root = this.group("root", "", "");
    this.calls(root);
    this.fold(root);
    this.gather(root);
    this.parent = new Int32Array(n + this.groups.length).fill(-1);
    this.adopt(root);
    this.prune(root);
    this.tally(root);
  }

  get root(): Group {
    return this.groups[0]!;
  }

  isGroup(item: number): boolean {
    return item >= this.model.n;
  }

  at(item: number): Group {
    return this.groups[item - this.model.n]!;
  }

  private group(kind: GroupKind, path: string, label: string): Group {
    const made = { item: this.model.n + this.groups.length, kind, path, label, children: [], count: 0, first: -1, last: -1 };
    this.groups.push(made);
    this.marks.push(-1);
    return made;
  }

  /** Calls of modules, from the order of computation. Outputs and leaves stay outside. */
  private calls(root: Group): void {
    const { model } = this;
    const stack: { group: Group; name: string }[] = [];
    const parts = new Map<number, string[]>();
    for (let i = 0; i < model.n; i++) {
      if (model.isLeaf(i)) continue;
      const key = model.moduleKey(i);
      let path = parts.get(key);
      if (path === undefined) {
        path = model.module(i) === "" ? [] : model.module(i).split(".");
        parts.set(key, path);
      }
      const names = model.isOutput[i] ? [] : path;
      let same = 0;
      while (same < stack.length && same < names.length && stack[same]!.name === names[same]) same++;
      stack.length = same;
      while (stack.length < names.length) {
        const full = names.slice(0, stack.length + 1).join(".");
        const made = this.group("module", full, full);
        (stack.length ? stack[stack.length - 1]!.group : root).children.push(made.item);
        stack.push({ group: made, name: names[stack.length]! });
      }
      (stack.length ? stack[stack.length - 1]!.group : root).children.push(i);
    }
    this.unwrap(root);
  }

  /** A module that does nothing but call one other is one box with it: "encoder.layers". */
  private unwrap(root: Group): void {
    const waiting = [root];
    while (waiting.length) {
      const g = waiting.pop()!;
      g.children = g.children.map((c) => {
        let inner = c;
        while (this.isGroup(inner) && this.at(inner).children.length === 1 && this.isGroup(this.at(inner).children[0]!)) {
          inner = this.at(inner).children[0]!;
        }
        return inner;
      });
      for (const c of g.children) if (this.isGroup(c)) waiting.push(this.at(c));
    }
  }

  /** A number that is the same for items that compute alike. */
  private mark(item: number): number {
    const { model } = this;
    if (!this.isGroup(item)) return model.operatorKey(item);
    const k = item - model.n;
    if (this.marks[k]! >= 0) return this.marks[k]!;
    // From the inside out, without recursion.
    const order: Group[] = [];
    const waiting = [this.at(item)];
    while (waiting.length) {
      const g = waiting.pop()!;
      order.push(g);
      for (const c of g.children) if (this.isGroup(c) && this.marks[c - model.n]! < 0) waiting.push(this.at(c));
    }
    for (const g of order.reverse()) {
      const parts = g.children.map((c) => (this.isGroup(c) ? this.marks[c - model.n]! : model.operatorKey(c)));
      const text = `${g.kind === "part" ? "part" : "group"}:${parts.join(",")}`;
      let found = this.byMark.get(text);
      if (found === undefined) {
        found = model.doc.texts.length + this.byMark.size;
        this.byMark.set(text, found);
      }
      this.marks[g.item - model.n] = found;
    }
    return this.marks[k]!;
  }

  /** Modules alike one after the other, numbered on: `layers.0…11 ×12`. */
  private fold(root: Group): void {
    const waiting = [root];
    while (waiting.length) {
      const g = waiting.pop()!;
      for (const c of g.children) if (this.isGroup(c)) waiting.push(this.at(c));
      const children: number[] = [];
      for (let i = 0; i < g.children.length; ) {
        let j = i + 1;
        while (j < g.children.length && this.follows(g.children[j - 1]!, g.children[j]!)) j++;
        const whole = j - i === g.children.length && g.kind === "module";
        if (j - i > 1) {
          const first = this.at(g.children[i]!).path;
          const last = this.at(g.children[j - 1]!).path;
          const label = `${first}…${last.split(".").at(-1)} ×${j - i}`;
          if (whole) {
            // All that the module does is to call these: it is the fold.
            g.kind = "fold";
            g.label = label;
            break;
          }
          children.push(this.wrap("fold", g.children.slice(i, j), first, label));
        } else {
          children.push(...g.children.slice(i, j));
        }
        i = j;
      }
      if (g.kind !== "fold") g.children = children;
    }
  }

  private follows(a: number, b: number): boolean {
    if (!this.isGroup(a) || !this.isGroup(b)) return false;
    const cut = (path: string): [string, string] => [path.slice(0, path.lastIndexOf(".") + 1), path.slice(path.lastIndexOf(".") + 1)];
    const [parent, number] = cut(this.at(a).path);
    const [other, next] = cut(this.at(b).path);
    const digits = /^\d+$/;
    return parent === other && digits.test(number) && digits.test(next) && Number(next) === Number(number) + 1 && this.mark(a) === this.mark(b);
  }

  private wrap(kind: GroupKind, children: number[], path: string, label: string): number {
    const made = this.group(kind, path, label);
    made.children = children;
    return made.item;
  }

  /** Many children: what repeats becomes one box, and what is left is cut into parts. */
  private gather(root: Group): void {
    const waiting = [root];
    while (waiting.length) {
      const g = waiting.pop()!;
      if (g.children.length > this.crowd) {
        if (g.kind !== "fold" && g.kind !== "part") g.children = this.repeats(g.children);
        if (g.children.length > this.crowd) g.children = this.parts(g.children, g.kind === "fold");
      }
      for (const c of g.children) if (this.isGroup(c)) waiting.push(this.at(c));
    }
  }

  /** Runs of equal blocks (a loop in the program) folded. */
  private repeats(children: number[]): number[] {
    const { model } = this;
    const lines = new Map<string, number>();
    const marks = children.map((c) => {
      const output = !this.isGroup(c) && model.isOutput[c]; // stays in sight
      const key = output ? `output ${c}` : `${this.mark(c)}:${this.isGroup(c) ? "" : model.placeKey(c)}`;
      const found = lines.get(key) ?? lines.size;
      lines.set(key, found);
      return found;
    });
    const next = new Int32Array(marks.length).fill(-1);
    const seen = new Map<number, number>();
    for (let i = marks.length - 1; i >= 0; i--) {
      next[i] = seen.get(marks[i]!) ?? -1;
      seen.set(marks[i]!, i);
    }
    const out: number[] = [];
    let missed = 0; // work done in vain, so that odd programs do not take for ever
    for (let i = 0; i < marks.length; ) {
      let best = 0;
      let period = 0;
      for (let j = next[i]!, tries = 0; j >= 0 && tries < AWAY && missed < 4e6; j = next[j]!, tries++) {
        const p = j - i;
        let end = j;
        while (end < marks.length && marks[end] === marks[end - p]) end++;
        missed += end - j;
        const times = Math.floor((end - i) / p);
        if (times >= 3 && times * p > best * 1.2) {
          best = times * p;
          period = p;
        }
      }
      if (best < 6) {
        out.push(children[i]!);
        i++;
        continue;
      }
      missed = Math.max(0, missed - best * 2);
      const times = best / period;
      const blocks: number[] = [];
      for (let k = 0; k < times; k++) {
        const inside = children.slice(i + k * period, i + (k + 1) * period);
        blocks.push(period === 1 ? inside[0]! : this.wrap("part", inside, "", `${this.title(inside)} · ${k + 1}`));
      }
      out.push(this.wrap("fold", blocks, "", `${this.title(children.slice(i, i + period))} ×${times}`));
      i += best;
    }
    return out;
  }

  /** What a block computes, in a word or two. */
  private title(items: number[]): string {
    const names: string[] = [];
    for (const c of items) {
      const name = this.isGroup(c) ? this.at(c).label : this.model.operator(c);
      if (names[names.length - 1] !== name) names.push(name);
    }
    return names.length > 3 ? `${names[0]}, ${names[1]}, … ${names[names.length - 1]}` : names.join(", ");
  }

  private parts(children: number[], blocks: boolean): number[] {
    let level = children.slice();
    const after: number[] = [];
    while (level.length && this.model.isOutput[level[level.length - 1]!]) after.unshift(level.pop()!);
    let first = true;
    while (level.length > this.crowd) {
      const size = Math.min(this.crowd - 10, Math.max(8, Math.ceil(Math.sqrt(level.length))));
      const above: number[] = [];
      for (let i = 0; i < level.length; i += size) {
        const inside = level.slice(i, i + size);
        const span = first ? `${blocks ? "" : "steps "}${i + 1}–${i + inside.length}` : this.span(inside);
        above.push(this.wrap("part", inside, "", span));
      }
      level = above;
      first = false;
    }
    return [...level, ...after];
  }

  private span(items: number[]): string {
    const a = this.at(items[0]!).label.split("–")[0]!;
    const b = this.at(items[items.length - 1]!).label.split("–")[1]!;
    return `${a}–${b}`;
  }

  /** Parents, and a place for the leaves: the innermost group that holds all that reads them. */
  private adopt(root: Group): void {
    const { model, parent } = this;
    const depth = new Int32Array(this.groups.length);
    const waiting = [root];
    while (waiting.length) {
      const g = waiting.pop()!;
      for (const c of g.children) {
        parent[c] = g.item;
        if (this.isGroup(c)) {
          depth[c - model.n] = depth[g.item - model.n]! + 1;
          waiting.push(this.at(c));
        }
      }
    }
    const leaves = new Map<number, number[]>();
    for (let i = 0; i < model.n; i++) {
      if (!model.isLeaf(i)) continue;
      let home = -1;
      for (const e of model.edgesFrom(i)) {
        let g = parent[model.target[e]!]!;
        if (home < 0) home = g;
        while (home !== g) {
          if (depth[home - model.n]! > depth[g - model.n]!) home = parent[home]!;
          else if (depth[g - model.n]! > 0) g = parent[g]!;
          else break;
        }
        if (home === root.item) break;
      }
      // An input of the user's stays in sight; parameters and constants go where they are used.
      if (home < 0 || (model.kindOf(i) === "input" && this.hidden(home))) home = root.item;
      parent[i] = home;
      const list = leaves.get(home);
      if (list === undefined) leaves.set(home, [i]);
      else list.push(i);
    }
    for (const [home, list] of leaves) {
      const g = this.at(home);
      g.children = [...this.crowdOfLeaves(home, list), ...g.children];
    }
  }

  /** A box around a single value says nothing. */
  private prune(root: Group): void {
    const waiting = [root];
    while (waiting.length) {
      const g = waiting.pop()!;
      g.children = g.children.map((c) => {
        let inner = c;
        while (this.isGroup(inner) && this.at(inner).children.length === 1) inner = this.at(inner).children[0]!;
        this.parent[inner] = g.item;
        return inner;
      });
      for (const c of g.children) if (this.isGroup(c)) waiting.push(this.at(c));
    }
  }

  /** Very many leaves side by side: a box for those of one kind. */
  private crowdOfLeaves(home: number, leaves: number[]): number[] {
    if (leaves.length <= this.crowd / 2) return leaves;
    const out: number[] = [];
    const kinds = new Map<string, number[]>();
    for (const i of leaves) {
      const kind = this.model.kindOf(i);
      kinds.set(kind, [...(kinds.get(kind) ?? []), i]);
    }
    for (const [kind, list] of kinds) {
      if (list.length <= 8) {
        out.push(...list);
        continue;
      }
      const waiting = [this.wrap("part", list, "", `${list.length} ${kind}s`)];
      const top = waiting[0]!;
      const g = this.at(top);
      if (list.length > this.crowd) g.children = this.parts(list, true);
      this.parent = grown(this.parent, this.model.n + this.groups.length);
      this.parent[top] = home;
      while (waiting.length) {
        const item = waiting.pop()!;
        for (const c of this.at(item).children) {
          this.parent[c] = item;
          if (this.isGroup(c)) waiting.push(c);
        }
      }
      out.push(top);
    }
    return out;
  }

  /** Whether a group is not the whole. */
  private hidden(item: number): boolean {
    return item !== this.root.item;
  }

  private tally(root: Group): void {
    const order: Group[] = [];
    const waiting = [root];
    while (waiting.length) {
      const g = waiting.pop()!;
      order.push(g);
      for (const c of g.children) if (this.isGroup(c)) waiting.push(this.at(c));
    }
    this.used = order.slice();
    for (const g of order.reverse()) {
      for (const c of g.children) {
        const inner = this.isGroup(c) ? this.at(c) : null;
        g.count += inner ? inner.count : 1;
        const last = inner ? inner.last : this.model.isLeaf(c) ? -1 : c;
        const first = inner ? inner.first : this.model.isLeaf(c) ? -1 : c;
        g.last = Math.max(g.last, last);
        if (first >= 0 && (g.first < 0 || first < g.first)) g.first = first;
      }
    }
  }

  /** The groups that stand open at first: level by level, while no more than `most` boxes are shown. What repeats stays
   * folded, unless there is room for all there is. */
  opening(most: number | null): Set<number> {
    const open = new Set([this.root.item]);
    const all = most === null || this.model.n <= most;
    let level = [this.root];
    let boxes = this.root.children.length;
    while (level.length) {
      const below: Group[] = [];
      let more = 0;
      for (const g of level) {
        for (const c of g.children) {
          if (!this.isGroup(c) || (!all && this.at(c).kind === "fold")) continue;
          below.push(this.at(c));
          more += this.at(c).children.length;
        }
      }
      if (!all && boxes + more > most) break;
      for (const g of below) open.add(g.item);
      boxes += more;
      level = below;
    }
    return open;
  }
}

function grown(a: Int32Array, length: number): Int32Array {
  const out = new Int32Array(length).fill(-1);
  out.set(a);
  return out;
}
