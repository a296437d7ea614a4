// Small tensors: numbers in a Float64Array, row by row.

export interface Tensor {
  data: Float64Array;
  shape: number[];
  /** Of true and false. */
  mask?: boolean;
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

export function tensor(data: Float64Array, shape: readonly number[]): Tensor {
  return { data, shape: shape.slice() };
}

export function zeros(shape: readonly number[]): Tensor {
  return { data: new Float64Array(sizeOf(shape)), shape: shape.slice() };
}

export function strides(shape: readonly number[]): number[] {
  const out = new Array<number>(shape.length);
  let step = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    out[d] = step;
    step *= shape[d]!;
  }
  return out;
}

export function broadcastShape(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  const out = new Array<number>(rank).fill(1);
  for (const s of shapes) {
    s.forEach((n, i) => {
      const d = rank - s.length + i;
      if (n !== 1) {
        if (out[d] !== 1 && out[d] !== n) throw new Error("shapes do not broadcast");
        out[d] = n;
      }
    });
  }
  return out;
}

/** For each element of `shape` the place of the element of a tensor of shape `from` that is broadcast to it. */
export function spread(from: readonly number[], shape: readonly number[]): Int32Array | null {
  if (from.length === shape.length && from.every((n, i) => n === shape[i])) return null;
  const out = new Int32Array(sizeOf(shape));
  const own = strides(from);
  const lead = shape.length - from.length;
  const step = shape.map((_, d) => (d < lead || from[d - lead] === 1 ? 0 : own[d - lead]!));
  walk(shape, step, 0, (at, k) => (out[k] = at));
  return out;
}

/** Visit all elements of a shape in order, with a place that moves by a step per dimension. */
export function walk(shape: readonly number[], step: readonly number[], start: number, visit: (at: number, k: number) => void): void {
  const total = sizeOf(shape);
  const count = new Array<number>(shape.length).fill(0);
  let at = start;
  for (let k = 0; k < total; k++) {
    visit(at, k);
    for (let d = shape.length - 1; d >= 0; d--) {
      at += step[d]!;
      if (++count[d]! < shape[d]!) break;
      at -= step[d]! * shape[d]!;
      count[d] = 0;
    }
  }
}

/** Dimensions as Python counts them, from 0 on. */
export function dimensions(dim: unknown, rank: number): number[] {
  const list = Array.isArray(dim) ? (dim as number[]) : dim === null || dim === undefined ? Array.from({ length: rank }, (_, i) => i) : [dim as number];
  return list.map((d) => (d < 0 ? d + rank : d));
}

export interface Grouping {
  shape: number[];
  /** For each element of the input, the place of the result that it belongs to. */
  place: Int32Array;
  count: number;
}

/** Which elements are reduced into which. */
export function grouping(shape: readonly number[], dims: readonly number[], keep: boolean): Grouping {
  const gone = new Set(dims);
  const kept = shape.filter((_, d) => !gone.has(d));
  const inner = strides(kept);
  let k = 0;
  const step = shape.map((_, d) => (gone.has(d) ? 0 : inner[k++]!));
  const place = new Int32Array(sizeOf(shape));
  walk(shape, step, 0, (at, i) => (place[i] = at));
  const count = dims.reduce((n, d) => n * shape[d]!, 1);
  return { shape: keep ? shape.map((n, d) => (gone.has(d) ? 1 : n)) : kept, place, count };
}

/** What an operator of this page must offer: its result, and reverse mode in each argument. */
export interface Operator {
  /** The result, or several. */
  run(args: (Tensor | null)[], params: Record<string, unknown>): Tensor | Tensor[];
  /** The gradient of argument i for the gradient g of result nr; it has the argument's elements. mask: of an operator
   * that works element by element, those that count. */
  pull(i: number, g: Tensor, nr: number, y: Tensor[], args: (Tensor | null)[], params: Record<string, unknown>, mask?: Float64Array): Float64Array;
  /** Which elements of argument i were selected (1) and not (0), for those that choose. */
  live?(i: number, y: Tensor, args: (Tensor | null)[], params: Record<string, unknown>): Float64Array;
  /** Moves elements (and adds them up) and does nothing else. */
  moves?: boolean;
  /** Works element by element, so that an element nobody selected stays that. */
  pointwise?: boolean;
}
