// The computation as a line of steps: every call forward, then every contribution to a gradient backward.
//
// Position 0: only the leaves are known. Position k: k steps have been taken. Steps are those of Graph.forward_steps()
// and Graph.backward_steps(), in that order.
import type { Model } from "./model";

export class Steps {
  /** Nodes in the order in which they are computed. */
  readonly forward: Int32Array;
  /** Backward: the node that passes its gradient on, and along which edge; -1: what backward starts with. */
  readonly passing: Int32Array;
  readonly along: Int32Array;
  readonly total: number;
  /** The step after which a node's value is known; 0 for leaves. */
  readonly computedAt: Int32Array;
  /** The steps after which a gradient has its first part, and all of it; total + 1 where there is none. */
  readonly firstAt: Int32Array;
  readonly doneAt: Int32Array;

  constructor(readonly model: Model) {
    const { n } = model;
    const forward: number[] = [];
    this.computedAt = new Int32Array(n);
    for (let i = 0; i < n; i++) {
      if (model.isLeaf(i)) continue;
      forward.push(i);
      this.computedAt[i] = forward.length;
    }
    this.forward = Int32Array.from(forward);
    const passing: number[] = [];
    const along: number[] = [];
    const never = n + model.m + model.outputs.length + 1;
    this.firstAt = new Int32Array(n).fill(never);
    this.doneAt = new Int32Array(n).fill(never);
    const arrived = (i: number): void => {
      const step = forward.length + passing.length;
      if (this.firstAt[i] === never) this.firstAt[i] = step;
      this.doneAt[i] = step;
    };
    for (let i = n - 1; i >= 0; i--) {
      if (!model.hasGradient(i)) continue;
      if (model.isOutput[i]) {
        passing.push(i);
        along.push(-1);
        arrived(i);
      }
      if (model.isLeaf(i)) continue;
      for (const e of model.edgesInto(i)) {
        if (!model.flows[e] || !model.hasGradient(model.source[e]!)) continue;
        passing.push(i);
        along.push(e);
        arrived(model.source[e]!);
      }
    }
    this.passing = Int32Array.from(passing);
    this.along = Int32Array.from(along);
    this.total = forward.length + passing.length;
  }

  get turn(): number {
    return this.forward.length;
  }

  /** What the last step taken was: a node forward, or an edge (or -1) and its node backward; null at the start. */
  at(position: number): { node: number; edge: number | null } | null {
    if (position <= 0) return null;
    if (position <= this.turn) return { node: this.forward[position - 1]!, edge: null };
    const k = position - this.turn - 1;
    return { node: this.passing[k]!, edge: this.along[k]! };
  }

  /** What an edge adds to the gradient of its source; null where the page cannot tell. */
  contribution(edge: number): Float64Array | null {
    const g = this.model.gradient(this.model.target[edge]!);
    return g === null ? null : this.model.pull(edge, g);
  }

  /** The gradient of a node as far as it has come at a position; null if there is nothing yet or it cannot be told. */
  partial(node: number, position: number): Float64Array | null {
    const { model } = this;
    if (position >= this.doneAt[node]!) return model.gradient(node);
    if (position < this.firstAt[node]!) return null;
    let sum: Float64Array | null = null;
    const add = (part: ArrayLike<number> | null): boolean => {
      if (part === null) return false;
      if (sum === null) sum = Float64Array.from(part);
      else for (let i = 0; i < sum.length; i++) sum[i]! += part[i]!;
      return true;
    };
    const end = position - this.turn;
    const own = Array.from(model.edgesFrom(node)).filter((e) => model.flows[e] && model.hasGradient(model.target[e]!));
    // Contributions come from the newest user back, and within a user in the order of its arguments.
    own.sort((a, b) => model.target[b]! - model.target[a]! || a - b);
    if (model.isOutput[node] && !add(model.seeds?.[model.outputs.indexOf(node)] ?? null)) return null;
    for (const e of own) {
      if (this.stepOf(e) > end) continue;
      if (!add(this.contribution(e))) return null;
    }
    return sum;
  }

  private places: Map<number, number> | null = null;
  private stepOf(edge: number): number {
    if (this.places === null) {
      this.places = new Map();
      this.along.forEach((e, k) => e >= 0 && this.places!.set(e, k + 1));
    }
    return this.places.get(edge) ?? Infinity;
  }
}
