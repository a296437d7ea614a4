// Operators that only move elements: where each element of the result comes from says all about them, backward too.
import { broadcastShape, dimensions, sizeOf, spread, strides, tensor, walk, type Operator, type Tensor } from "./tensor";

type Params = Record<string, unknown>;
/** Places instead of numbers: result element k is element `data[k]` of the input; -1: nothing (0). */
type Map_ = (places: Tensor[], params: Params, args: (Tensor | null)[]) => Tensor;

function reordered(x: Tensor, shape: number[], step: number[], start = 0): Tensor {
  const out = new Float64Array(sizeOf(shape));
  walk(shape, step, start, (at, k) => (out[k] = x.data[at]!));
  return tensor(out, shape);
}

function permuted(x: Tensor, dims: number[]): Tensor {
  const own = strides(x.shape);
  return reordered(x, dims.map((d) => x.shape[d]!), dims.map((d) => own[d]!));
}

function swapped(x: Tensor, a: number, b: number): Tensor {
  const dims = x.shape.map((_, d) => d);
  [dims[a], dims[b]] = [dims[b]!, dims[a]!];
  return permuted(x, dims);
}

/** Bounds of a Python slice. */
function bounds(slice: (number | null)[], n: number): [number, number, number] {
  const step = slice[2] ?? 1;
  const clip = (v: number): number => Math.min(n, Math.max(0, v < 0 ? v + n : v));
  const start = slice[0] === null || slice[0] === undefined ? 0 : clip(slice[0]);
  const stop = slice[1] === null || slice[1] === undefined ? n : clip(slice[1]);
  return [start, Math.max(0, Math.ceil((stop - start) / step)), step];
}

/** x[index] for ints, slices, None and ... */
function sliced(x: Tensor, index: unknown[]): Tensor {
  const own = strides(x.shape);
  const named = index.filter((e) => e !== null && !isDots(e)).length;
  const shape: number[] = [];
  const step: number[] = [];
  let start = 0;
  let d = 0;
  for (const e of index) {
    if (e === null) {
      shape.push(1);
      step.push(0);
    } else if (isDots(e)) {
      for (let rest = x.shape.length - named; rest > 0; rest--, d++) {
        shape.push(x.shape[d]!);
        step.push(own[d]!);
      }
    } else if (typeof e === "number") {
      start += (e < 0 ? e + x.shape[d]! : e) * own[d]!;
      d++;
    } else {
      const [from, count, by] = bounds((e as { slice: (number | null)[] }).slice, x.shape[d]!);
      start += from * own[d]!;
      shape.push(count);
      step.push(own[d]! * by);
      d++;
    }
  }
  for (; d < x.shape.length; d++) {
    shape.push(x.shape[d]!);
    step.push(own[d]!);
  }
  return reordered(x, shape, step, start);
}

const isDots = (e: unknown): boolean => typeof e === "object" && e !== null && (e as { text?: string }).text === "...";

function joined(xs: Tensor[], dim: number): Tensor {
  const rank = xs[0]!.shape.length;
  const d = dim < 0 ? dim + rank : dim;
  const shape = xs[0]!.shape.slice();
  shape[d] = xs.reduce((n, x) => n + x.shape[d]!, 0);
  const out = new Float64Array(sizeOf(shape));
  const after = sizeOf(shape.slice(d + 1));
  const before = sizeOf(shape.slice(0, d));
  let at = 0;
  for (let b = 0; b < before; b++) {
    for (const x of xs) {
      const row = x.shape[d]! * after;
      out.set(x.data.subarray(b * row, (b + 1) * row), at);
      at += row;
    }
  }
  return tensor(out, shape);
}

const same = (x: Tensor): Tensor => x;
const shaped: Map_ = ([x], p) => {
  const shape = (p.shape as number[]).slice();
  const hole = shape.indexOf(-1);
  if (hole >= 0) shape[hole] = x!.data.length / -sizeOf(shape);
  return tensor(x!.data, shape);
};

const MAPS: Record<string, Map_> = {
  alias: ([x]) => same(x!),
  clone: ([x]) => same(x!),
  gradient_copy: ([x]) => same(x!),
  to_copy: ([x]) => same(x!),
  reshape: shaped,
  view: shaped,
  reshape_alias: shaped,
  expand: ([x], p) => {
    const map = spread(x!.shape, p.shape as number[]);
    return tensor(map ? Float64Array.from(map, (k) => x!.data[k]!) : x!.data, p.shape as number[]);
  },
  permute: ([x], p) => permuted(x!, dimensions(p.dims, x!.shape.length)),
  transpose: ([x], p) => swapped(x!, ...(dimensions([p.dim0, p.dim1], x!.shape.length) as [number, number])),
  t: ([x]) => swapped(x!, x!.shape.length - 2, x!.shape.length - 1),
  unsqueeze: ([x], p) => {
    const shape = x!.shape.slice();
    shape.splice(dimensions(p.dim, shape.length + 1)[0]!, 0, 1);
    return tensor(x!.data, shape);
  },
  squeeze: ([x], p) => {
    const gone = new Set(dimensions(p.dim, x!.shape.length));
    return tensor(x!.data, x!.shape.filter((_, d) => !gone.has(d)));
  },
  slices: ([x], p) => sliced(x!, p.index as unknown[]),
  flip: ([x], p) => {
    const own = strides(x!.shape);
    let start = 0;
    const gone = new Set(dimensions(p.dims, x!.shape.length));
    const step = own.map((s, d) => {
      if (!gone.has(d)) return s;
      start += s * (x!.shape[d]! - 1);
      return -s;
    });
    return reordered(x!, x!.shape, step, start);
  },
  tril: ([x], p) => triangle(x!, (row, column) => column - row <= (p.diagonal as number)),
  triu: ([x], p) => triangle(x!, (row, column) => column - row >= (p.diagonal as number)),
  cat: (xs, p) => joined(xs, p.dim as number),
  stack: (xs, p) => {
    const d = dimensions(p.dim, xs[0]!.shape.length + 1)[0]!;
    return joined(xs.map((x) => tensor(x.data, [...x.shape.slice(0, d), 1, ...x.shape.slice(d)])), d);
  },
  index_select: ([x], p, args) => {
    const d = dimensions(p.dim, x!.shape.length)[0]!;
    return chosenRows(x!, d, args[1]!);
  },
  embedding: ([x], _p, args) => {
    const ids = args[1]!;
    const rows = chosenRows(x!, 0, tensor(ids.data, [ids.data.length]));
    return tensor(rows.data, [...ids.shape, ...x!.shape.slice(1)]);
  },
  index: ([x], p, args) => picked(x!, p.dims as number[], args.slice(1) as Tensor[]),
  gather: ([x], p, args) => {
    const ids = args[1]!;
    const d = dimensions(p.dim, x!.shape.length)[0]!;
    const own = strides(x!.shape);
    const out = new Float64Array(ids.data.length);
    walk(ids.shape, own.map((s, k) => (k === d ? 0 : s)), 0, (at, k) => {
      const id = ids.data[k]!;
      out[k] = x!.data[at + (id < 0 ? id + x!.shape[d]! : id) * own[d]!]!;
    });
    return tensor(out, ids.shape);
  },
};

function triangle(x: Tensor, keep: (row: number, column: number) => boolean): Tensor {
  const columns = x.shape.at(-1)!;
  const rows = x.shape.at(-2)!;
  return tensor(x.data.map((v, k) => (keep(Math.floor(k / columns) % rows, k % columns) ? v : -1)), x.shape);
}

function chosenRows(x: Tensor, d: number, ids: Tensor): Tensor {
  const own = strides(x.shape);
  const shape = x.shape.map((n, k) => (k === d ? ids.data.length : n));
  const out = new Float64Array(sizeOf(shape));
  const n = x.shape[d]!;
  const inner = strides(shape);
  walk(shape, own.map((s, k) => (k === d ? 0 : s)), 0, (at, k) => {
    const id = ids.data[Math.floor(k / inner[d]!) % shape[d]!]!;
    out[k] = x.data[at + (id < 0 ? id + n : id) * own[d]!]!;
  });
  return tensor(out, shape);
}

/** x at arrays of places in some dimensions, as NumPy has it; or at one mask, from a dimension on. */
function picked(x: Tensor, dims: number[], given: Tensor[]): Tensor {
  const rank = x.shape.length;
  let at = dims.map((d) => d + rank);
  let arrays = given;
  if (arrays.length === 1 && arrays[0]!.mask) {
    const mask = arrays[0]!;
    const own = strides(mask.shape);
    const hits = [...mask.data.keys()].filter((k) => mask.data[k]);
    arrays = mask.shape.map((n, d) => tensor(Float64Array.from(hits, (k) => Math.floor(k / own[d]!) % n), [hits.length]));
    at = mask.shape.map((_, d) => at[0]! + d);
  }
  const inner = broadcastShape(arrays.map((a) => a.shape));
  const count = sizeOf(inner);
  const maps = arrays.map((a) => spread(a.shape, inner));
  const steps = strides(x.shape);
  const offsets = Float64Array.from({ length: count }, (_, k) =>
    arrays.reduce((sum, a, i) => {
      const id = a.data[maps[i] ? maps[i]![k]! : k]!;
      return sum + (id < 0 ? id + x.shape[at[i]!]! : id) * steps[at[i]!]!;
    }, 0),
  );
  const adjacent = at.every((d, i) => i === 0 || d === at[i - 1]! + 1);
  const rest = x.shape.map((_, d) => d).filter((d) => !at.includes(d));
  const before = adjacent ? rest.filter((d) => d < at[0]!) : [];
  const after = adjacent ? rest.filter((d) => d > at[0]!) : rest;
  const shape = [...before.map((d) => x.shape[d]!), ...inner, ...after.map((d) => x.shape[d]!)];
  const out = new Float64Array(sizeOf(shape));
  const flat = [...before.map((d) => x.shape[d]!), count, ...after.map((d) => x.shape[d]!)];
  walk(flat, [...before.map((d) => steps[d]!), 0, ...after.map((d) => steps[d]!)], 0, (place, k) => {
    const row = Math.floor(k / sizeOf(after.map((d) => x.shape[d]!))) % count;
    out[k] = x.data[place + offsets[row]!]!;
  });
  return tensor(out, shape);
}

/** Arguments from this one on are no data but places. */
const PLAIN_FROM: Record<string, number> = { index: 1, index_select: 1, embedding: 1, gather: 1 };

function mapped(name: string, map: Map_): Operator {
  const count = (args: (Tensor | null)[]): number => PLAIN_FROM[name] ?? args.length;
  const places = (args: (Tensor | null)[], params: Params): Tensor => {
    let next = 0;
    const given = args.slice(0, count(args)).map((a) => {
      const start = next;
      next += a!.data.length;
      return tensor(Float64Array.from(a!.data, (_, k) => start + k), a!.shape);
    });
    return map(given, params, args);
  };
  return {
    moves: true,
    run(args, params) {
      const where = places(args, params);
      const starts: number[] = [];
      let next = 0;
      for (const a of args.slice(0, count(args))) {
        starts.push(next);
        next += a!.data.length;
      }
      const all = new Float64Array(next);
      starts.forEach((s, i) => all.set(args[i]!.data, s));
      return tensor(where.data.map((k) => (k < 0 ? 0 : all[k]!)), where.shape);
    },
    pull(i, g, _nr, _y, args, params) {
      const where = places(args, params);
      let start = 0;
      for (let k = 0; k < i; k++) start += args[k]!.data.length;
      const out = new Float64Array(args[i]!.data.length);
      if (i >= count(args)) return out;
      for (let k = 0; k < where.data.length; k++) {
        const at = where.data[k]! - start;
        if (at >= 0 && at < out.length) out[at]! += g.data[k]!;
      }
      return out;
    },
  };
}

/** Results of one input along a dimension: split and unbind. */
function several(parts: (x: Tensor, params: Params) => Tensor[]): Operator {
  const places = (x: Tensor, params: Params): Tensor[] => parts(tensor(Float64Array.from(x.data, (_, k) => k), x.shape), params);
  return {
    moves: true,
    run: ([x], params) => places(x!, params).map((t) => tensor(t.data.map((k) => x!.data[k]!), t.shape)),
    pull(_i, g, nr, _y, [x], params) {
      const out = new Float64Array(x!.data.length);
      places(x!, params)[nr]!.data.forEach((at, k) => (out[at]! += g.data[k]!));
      return out;
    },
  };
}

const along = (x: Tensor, dim: unknown, e: unknown): Tensor => {
  const d = dimensions(dim, x.shape.length)[0]!;
  return sliced(x, x.shape.map((_, k) => (k === d ? e : { slice: [null, null, null] })));
};

export const MOVES: Record<string, Operator> = {
  ...Object.fromEntries(Object.entries(MAPS).map(([name, map]) => [name, mapped(name, map)])),
  split: several((x, p) => (p.bounds as [number, number][]).map(([a, b]) => along(x, p.dim, { slice: [a, b, null] }))),
  unbind: several((x, p) => Array.from({ length: x.shape[dimensions(p.dim, x.shape.length)[0]!]! }, (_, i) => along(x, p.dim, i))),
};
