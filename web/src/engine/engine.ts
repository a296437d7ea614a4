// Computes the graph of the page anew, forward and backward, when an input is edited.
//
// Before the first edit it computes the numbers that Python gave, and offers to edit only if it arrives at the same.
import type { Model } from "../model";
import { MOVES } from "./moves";
import { NETS } from "./nets";
import { POINTWISE } from "./pointwise";
import { PRODUCTS } from "./products";
import { REDUCE } from "./reduce";
import { sizeOf, tensor, type Operator, type Tensor } from "./tensor";
import { WINDOWS } from "./windows";

export const OPERATORS: Record<string, Operator> = { ...POINTWISE, ...MOVES, ...REDUCE, ...PRODUCTS, ...NETS, ...WINDOWS };

const NODES = 3000;
const JACOBIAN = 20_000;
const DTYPES: Record<string, (x: number) => number> = {
  float64: (x) => x,
  float32: Math.fround,
  bool: (x) => (x ? 1 : 0),
  int64: Math.trunc,
  int32: Math.trunc,
  int16: Math.trunc,
  int8: Math.trunc,
  uint8: Math.trunc,
};

interface Results {
  values: Float64Array[];
  gradients: (Float64Array | null)[];
}

export class Engine {
  private reason: string | null = null;

  constructor(readonly model: Model) {
    model.fallback = (edge, g) => this.pull(edge, g);
  }

  /** The operator's name without the number of the output. */
  private bare(node: number): string {
    return this.model.operator(node).replace(/\[\d+\]$/, "");
  }

  /** Why nothing can be edited here, as a sentence; "" if it can. */
  unavailable(): string {
    this.reason ??= this.examine();
    return this.reason;
  }

  private examine(): string {
    const { model } = this;
    const instead = "Try graph.set(...) in Python.";
    if (model.n > NODES) return `Edit: this page computes graphs of up to ${NODES} nodes anew; this one has ${model.n}. ${instead}`;
    const missing = new Set<string>();
    const dtypes = new Set<string>();
    let unknown = false;
    for (let i = 0; i < model.n; i++) {
      if (!model.isLeaf(i) && !(this.bare(i) in OPERATORS)) missing.add(this.bare(i));
      if (!(model.dtype(i) in DTYPES)) dtypes.add(model.dtype(i) || "an unknown dtype");
      if (model.original(i) === null) unknown = true;
    }
    if (missing.size) return `Edit: this page cannot compute ${[...missing].slice(0, 6).join(", ")}. ${instead}`;
    if (dtypes.size) return `Edit: this page does not compute in ${[...dtypes].join(", ")}. ${instead}`;
    if (unknown) return `Edit: the values are too large to be all in this page. ${instead}`;
    if (model.hasGradients && model.seeds === null) return `Edit: what backward started with is not in this page. ${instead}`;
    try {
      const wrong = this.differs(this.compute(new Map()));
      if (wrong >= 0) return `Edit: this page does not arrive at Python's numbers at ${model.name(wrong)} (${model.operator(wrong)}). ${instead}`;
    } catch (error) {
      return `Edit: this page cannot compute this graph (${(error as Error).message}). ${instead}`;
    }
    return "";
  }

  /** The first node where a result is not what Python computed; -1: none. */
  private differs(found: Results): number {
    const { model } = this;
    const all = Array.from({ length: model.n }, (_, i) => model.gradient(i));
    // What would be 0 but for rounding is compared with the size of the others.
    const noise = 0.01 * largest(all);
    for (let i = 0; i < model.n; i++) {
      const tolerance = model.dtype(i) === "float32" ? 2e-4 : 1e-8;
      if (!close(found.values[i]!, model.original(i)!, tolerance, 1e-6)) return i;
      const g = all[i];
      const own = found.gradients[i];
      if (model.hasGradient(i) && (!own || !g || !close(own, g, tolerance * 10, noise))) return i;
    }
    return -1;
  }

  run(given: Map<number, Float64Array>): NonNullable<Model["edit"]> {
    const found = this.compute(given);
    const known = new Map<number, Float64Array | null>();
    return {
      ...found,
      local: (edge) => {
        let local = known.get(edge);
        if (local === undefined) known.set(edge, (local = this.jacobian(edge, found.values)));
        return local;
      },
      pull: (edge, g) => this.through(edge, g, found.values),
    };
  }

  private compute(given: Map<number, Float64Array>): Results {
    const values = this.forward(given);
    let gradients = this.backward(values, false);
    // Only then is it asked which elements nobody selected: their gradient is 0, whatever the derivatives are.
    if (gradients.some((g) => g?.some((x) => !Number.isFinite(x)))) gradients = this.backward(values, true);
    return { values, gradients };
  }

  private arguments(node: number, values: Float64Array[]): (Tensor | null)[] {
    const { model } = this;
    const out = new Array<Tensor | null>(model.arity[node]!).fill(null);
    for (const e of model.edgesInto(node)) {
      const s = model.source[e]!;
      out[model.argument[e]!] = { data: values[s]!, shape: model.shape(s) ?? [], mask: model.dtype(s) === "bool" };
    }
    return out;
  }

  private forward(given: Map<number, Float64Array>): Float64Array[] {
    const { model } = this;
    const values: Float64Array[] = [];
    const calls = new Map<number, Tensor[]>();
    for (let i = 0; i < model.n; i++) {
      if (model.isLeaf(i)) {
        values.push(given.get(i) ?? model.original(i)!);
        continue;
      }
      let results = calls.get(model.call[i]!);
      if (results === undefined) {
        const made = OPERATORS[this.bare(i)]!.run(this.arguments(i, values), model.params(i));
        results = Array.isArray(made) ? made : [made];
        calls.set(model.call[i]!, results);
      }
      const own = results[model.nr[i]!]!;
      if (own.data.length !== sizeOf(model.shape(i) ?? [])) throw new Error(`the shape of ${model.name(i)}`);
      const round = DTYPES[model.dtype(i)]!;
      values.push(Float64Array.from(own.data, round));
    }
    return values;
  }

  private results(node: number, values: Float64Array[]): Tensor[] {
    const y: Tensor[] = [];
    y[this.model.nr[node]!] = tensor(values[node]!, this.model.shape(node) ?? []);
    return this.model.nr[node] === 0 ? y : [y[this.model.nr[node]!]!, ...y.slice(1)];
  }

  private through(edge: number, g: ArrayLike<number>, values: Float64Array[]): Float64Array {
    const { model } = this;
    const t = model.target[edge]!;
    const up = tensor(Float64Array.from(g), model.shape(t) ?? []);
    const part = OPERATORS[this.bare(t)]!.pull(model.argument[edge]!, up, model.nr[t]!, this.results(t, values), this.arguments(t, values), model.params(t));
    return part.map(DTYPES[model.dtype(model.source[edge]!)]!);
  }

  private backward(values: Float64Array[], masked: boolean): (Float64Array | null)[] {
    const { model } = this;
    const gradients = new Array<Float64Array | null>(model.n).fill(null);
    if (!model.hasGradients) return gradients;
    const live = new Map<number, Float64Array>();
    model.outputs.forEach((k, i) => {
      const seed = model.seeds![i]!;
      gradients[k] = gradients[k] ? gradients[k]!.map((x, j) => x + seed[j]!) : seed.slice();
      if (masked) live.set(k, new Float64Array(seed.length).fill(1));
    });
    for (let i = model.n - 1; i >= 0; i--) {
      const g = gradients[i];
      if (!g || model.isLeaf(i)) continue;
      for (const e of model.edgesInto(i)) {
        const s = model.source[e]!;
        if (!model.flows[e] || !model.requiresGrad(s)) continue;
        const part = masked ? this.maskedPull(e, g, live.get(i)!, values, live) : this.through(e, g, values);
        const before = gradients[s];
        if (!before) gradients[s] = part;
        else {
          const round = DTYPES[model.dtype(s)]!;
          for (let k = 0; k < before.length; k++) before[k] = round(before[k]! + part[k]!);
        }
      }
    }
    return gradients;
  }

  /** As `through`, but elements that a selecting operator left out give 0 even where a derivative is infinite. */
  private maskedPull(edge: number, g: Float64Array, alive: Float64Array, values: Float64Array[], live: Map<number, Float64Array>): Float64Array {
    const { model } = this;
    const t = model.target[edge]!;
    const s = model.source[edge]!;
    const i = model.argument[edge]!;
    const op = OPERATORS[this.bare(t)]!;
    const args = this.arguments(t, values);
    const y = this.results(t, values);
    const params = model.params(t);
    const shape = model.shape(t) ?? [];
    let part: Float64Array;
    let reached: Float64Array;
    if (op.pointwise) {
      const chosen = op.live ? op.live(i, y[0]!, args, params) : alive;
      const mask = alive.map((x, k) => (x && chosen[k] ? 1 : 0));
      const up = tensor(g, shape);
      part = op.pull(i, up, 0, y, args, params, mask).map(DTYPES[model.dtype(s)]!);
      // How much of the source is alive: the mask moved back, as the gradient is.
      reached = OPERATORS.add!.pull(0, tensor(mask, shape), 0, [up], [args[i]!, up], {}).map((x) => (x ? 1 : 0));
      return this.note(live, s, part, reached);
    }
    part = this.through(edge, g, values);
    if (op.moves) {
      reached = op.pull(i, tensor(alive, shape), model.nr[t]!, y, args, params).map((x) => (x ? 1 : 0));
    } else reached = new Float64Array(part.length).fill(1);
    return this.note(live, s, part, reached);
  }

  private note(live: Map<number, Float64Array>, node: number, part: Float64Array, reached: Float64Array): Float64Array {
    const before = live.get(node);
    live.set(node, before ? before.map((x, k) => (x || reached[k] ? 1 : 0)) : reached);
    return part;
  }

  private jacobian(edge: number, values: Float64Array[]): Float64Array | null {
    const { model } = this;
    if (!model.flows[edge]) return null;
    const rows = model.size(model.target[edge]!);
    const columns = model.size(model.source[edge]!);
    if (rows * columns > JACOBIAN || rows > 200) return null;
    const out = new Float64Array(rows * columns);
    const unit = new Float64Array(rows);
    for (let r = 0; r < rows; r++) {
      unit[r] = 1;
      out.set(this.through(edge, unit, values), r * columns);
      unit[r] = 0;
    }
    return out;
  }

  private originals: Float64Array[] | null = null;

  /** Reverse mode through one edge at Python's values, where this page can compute the whole graph; else null. */
  private pull(edge: number, g: ArrayLike<number>): Float64Array | null {
    if (this.unavailable()) return null;
    this.originals ??= Array.from({ length: this.model.n }, (_, i) => this.model.original(i)!);
    return this.through(edge, g, this.originals);
  }
}

function largest(arrays: (Float64Array | null)[]): number {
  let most = 0;
  for (const a of arrays) if (a) for (const x of a) if (Number.isFinite(x)) most = Math.max(most, Math.abs(x));
  return most;
}

function close(a: Float64Array, b: Float64Array, tolerance: number, least: number): boolean {
  if (a.length !== b.length) return false;
  const scale = Math.max(largest([b]), least);
  for (let k = 0; k < a.length; k++) {
    const x = a[k]!;
    const y = b[k]!;
    if (Object.is(x, y) || x === y) continue;
    if (Number.isNaN(x) !== Number.isNaN(y) || !(Math.abs(x - y) <= tolerance * scale)) return false;
  }
  return true;
}
