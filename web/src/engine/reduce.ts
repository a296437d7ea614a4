// Reductions, scans and softmax.
import { dimensions, grouping, strides, tensor, type Grouping, type Operator, type Tensor } from "./tensor";

type Params = Record<string, unknown>;

const groupOf = (x: Tensor, p: Params, keep = p.keepdim === true): Grouping => grouping(x.shape, dimensions(p.dim, x.shape.length), keep);

/** start, step and finish make the result; the partial is per element: (y of its group, x, what `ties` counted). */
function reduction(
  make: (x: Float64Array, g: Grouping, n: number, p: Params) => Float64Array,
  partial: (y: number, x: number, extra: number, p: Params, count: number) => number,
  extra: (x: Float64Array, y: Float64Array, g: Grouping, p: Params) => Float64Array | null = () => null,
  selecting = false,
): Operator {
  return {
    run([x], p) {
      const g = groupOf(x!, p);
      return tensor(make(x!.data, g, g.shape.reduce((a, b) => a * b, 1), p), g.shape);
    },
    pull(_i, grad, _nr, [y], [x], p) {
      const g = groupOf(x!, p);
      const more = extra(x!.data, y!.data, g, p);
      return x!.data.map((v, k) => {
        const at = g.place[k]!;
        const d = partial(y!.data[at]!, v, more ? more[more.length === x!.data.length ? k : at]! : 0, p, g.count);
        return selecting && d === 0 ? 0 : d * grad.data[at]!;
      });
    },
  };
}

function folded(start: number, step: (a: number, x: number) => number) {
  return (x: Float64Array, g: Grouping, n: number): Float64Array => {
    const out = new Float64Array(n).fill(start);
    for (let k = 0; k < x.length; k++) out[g.place[k]!] = step(out[g.place[k]!]!, x[k]!);
    return out;
  };
}

const sums = folded(0, (a, x) => a + x);
const largest = folded(-Infinity, (a, x) => (Number.isNaN(a) || Number.isNaN(x) ? NaN : Math.max(a, x)));
const smallest = folded(Infinity, (a, x) => (Number.isNaN(a) || Number.isNaN(x) ? NaN : Math.min(a, x)));
const products = folded(1, (a, x) => a * x);

function ties(x: Float64Array, y: Float64Array, g: Grouping): Float64Array {
  const out = new Float64Array(y.length);
  for (let k = 0; k < x.length; k++) if (x[k] === y[g.place[k]!]) out[g.place[k]!]!++;
  return out;
}
const share = (y: number, x: number, count: number): number => (x === y ? 1 / count : 0);

function means(x: Float64Array, g: Grouping, n: number): Float64Array {
  return sums(x, g, n).map((s) => s / g.count);
}

function variance(x: Float64Array, g: Grouping, n: number, p: Params): Float64Array {
  const mean = means(x, g, n);
  const out = new Float64Array(n);
  for (let k = 0; k < x.length; k++) out[g.place[k]!]! += (x[k]! - mean[g.place[k]!]!) ** 2;
  return out.map((s) => s / Math.max(g.count - (p.correction as number), 0));
}
const centred = (x: Float64Array, y: Float64Array, g: Grouping): Float64Array => {
  const mean = means(x, g, y.length);
  return x.map((v, k) => v - mean[g.place[k]!]!);
};

/** For each element the product of the others of its group. */
function others(x: Float64Array, y: Float64Array, g: Grouping): Float64Array {
  const zerosIn = new Float64Array(y.length);
  const rest = new Float64Array(y.length).fill(1);
  for (let k = 0; k < x.length; k++) {
    if (x[k] === 0) zerosIn[g.place[k]!]!++;
    else rest[g.place[k]!]! *= x[k]!;
  }
  return x.map((v, k) => {
    const at = g.place[k]!;
    return v === 0 ? (zerosIn[at] === 1 ? rest[at]! : 0) : zerosIn[at] ? 0 : y[at]! / v;
  });
}

function logSumExp(x: Float64Array, g: Grouping, n: number): Float64Array {
  const top = largest(x, g, n).map((m) => (Number.isFinite(m) ? m : 0));
  const out = new Float64Array(n);
  for (let k = 0; k < x.length; k++) out[g.place[k]!]! += Math.exp(x[k]! - top[g.place[k]!]!);
  return out.map((s, i) => Math.log(s) + top[i]!);
}

function norm(x: Float64Array, g: Grouping, n: number, p: Params): Float64Array {
  const ord = Number(p.ord);
  if (ord === Infinity) return largest(x.map(Math.abs), g, n);
  if (ord === -Infinity) return smallest(x.map(Math.abs), g, n);
  if (ord === 0) return sums(x.map((v) => (v !== 0 ? 1 : 0)), g, n);
  return sums(x.map((v) => Math.abs(v) ** ord), g, n).map((s) => s ** (1 / ord));
}
function normPartial(y: number, x: number, _e: number, p: Params): number {
  const ord = Number(p.ord);
  if (ord === 1) return Math.sign(x);
  if (ord < 1) return x === 0 ? 0 : Math.sign(x) * Math.abs(x) ** (ord - 1) * y ** (1 - ord);
  return y === 0 ? 0 : (Math.sign(x) * Math.abs(x) ** (ord - 1)) / y ** (ord - 1);
}

const soft = (x: Tensor, p: Params): { g: Grouping; log: Float64Array } => {
  const g = grouping(x.shape, dimensions(p.dim, x.shape.length), true);
  const whole = logSumExp(x.data, g, x.data.length / g.count);
  return { g, log: x.data.map((v, k) => v - whole[g.place[k]!]!) };
};

function cumulative(x: Tensor, p: Params, back: boolean): Float64Array {
  const d = dimensions(p.dim, x.shape.length)[0]!;
  const step = strides(x.shape)[d] ?? 1;
  const n = x.shape[d] ?? 1;
  const out = x.data.slice();
  for (let j = 1; j < n; j++) {
    for (let k = 0; k < out.length; k++) {
      const at = Math.floor(k / step) % n;
      if (!back && at === j) out[k]! += out[k - step]!;
      if (back && at === n - 1 - j) out[k]! += out[k + step]!;
    }
  }
  return out;
}

const extreme = (f: typeof largest): Operator => reduction(f, share, ties, true);

export const REDUCE: Record<string, Operator> = {
  sum: { ...reduction(sums, () => 1), moves: true },
  mean: reduction(means, (_y, _x, _e, _p, count) => 1 / count),
  prod: reduction(products, (_y, _x, rest) => rest, others),
  prod_all: reduction(products, (_y, _x, rest) => rest, others),
  amax: extreme(largest),
  amin: extreme(smallest),
  max_all: extreme(largest),
  min_all: extreme(smallest),
  var: reduction(variance, (_y, _x, c, p, count) => (2 * c) / (count - (p.correction as number)), centred),
  std: reduction(
    (x, g, n, p) => variance(x, g, n, p).map(Math.sqrt),
    (y, _x, c, p, count) => (y === 0 ? 0 : c / y / (count - (p.correction as number))),
    centred,
  ),
  logsumexp: reduction(logSumExp, (y, x) => Math.exp(x - y)),
  vector_norm: reduction(norm, normPartial),
  softmax: {
    run: ([x], p) => tensor(soft(x!, p).log.map(Math.exp), x!.shape),
    pull(_i, grad, _nr, [y], [x], p) {
      const { g } = soft(x!, p);
      const dot = sums(grad.data.map((v, k) => v * y!.data[k]!), g, x!.data.length / g.count);
      return y!.data.map((v, k) => v * (grad.data[k]! - dot[g.place[k]!]!));
    },
  },
  log_softmax: {
    run: ([x], p) => tensor(soft(x!, p).log, x!.shape),
    pull(_i, grad, _nr, [y], [x], p) {
      const { g } = soft(x!, p);
      const all = sums(grad.data, g, x!.data.length / g.count);
      return grad.data.map((v, k) => v - Math.exp(y!.data[k]!) * all[g.place[k]!]!);
    },
  },
  cumsum: {
    run: ([x], p) => tensor(cumulative(x!, p, false), x!.shape),
    pull: (_i, g, _nr, _y, [x], p) => cumulative(tensor(g.data, x!.shape), p, true),
  },
  trace: {
    moves: true,
    run([x]) {
      const n = x!.shape.at(-1)!;
      let sum = 0;
      for (let i = 0; i < Math.min(n, x!.shape.at(-2)!); i++) sum += x!.data[i * n + i]!;
      return tensor(Float64Array.of(sum), []);
    },
    pull(_i, g, _nr, _y, [x]) {
      const n = x!.shape.at(-1)!;
      return x!.data.map((_, k) => (Math.floor(k / n) === k % n ? g.data[0]! : 0));
    },
  },
};
