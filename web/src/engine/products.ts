// Products of vectors and matrices, and small linear algebra.
import { broadcastShape, sizeOf, spread, tensor, zeros, type Operator, type Tensor } from "./tensor";

type Params = Record<string, unknown>;

/** For every product a·b that is summed into an element of the result: visit(place in y, in a, in b). */
type Terms = (args: (Tensor | null)[], p: Params, visit: (y: number, a: number, b: number) => void) => number[];

const matrices: Terms = ([a, b], p, visit) => {
  const [m, k] = last(a!, p.ta === true);
  const [, n] = last(b!, p.tb === true);
  const batch = broadcastShape([a!.shape.slice(0, -2), b!.shape.slice(0, -2)]);
  const fromA = spread(a!.shape.slice(0, -2), batch);
  const fromB = spread(b!.shape.slice(0, -2), batch);
  for (let s = 0; s < sizeOf(batch); s++) {
    const atA = (fromA ? fromA[s]! : s) * m * k;
    const atB = (fromB ? fromB[s]! : s) * k * n;
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        for (let l = 0; l < k; l++) {
          visit((s * m + i) * n + j, atA + (p.ta === true ? l * m + i : i * k + l), atB + (p.tb === true ? j * k + l : l * n + j));
        }
      }
    }
  }
  return [...batch, m, n];
};

function last(x: Tensor, turned: boolean): [number, number] {
  const [r, c] = x.shape.slice(-2) as [number, number];
  return turned ? [c, r] : [r, c];
}

const column = (v: Tensor): Tensor => tensor(v.data, [...v.shape, 1]);

const TERMS: Record<string, Terms> = {
  matmul: matrices,
  mv: ([a, v], p, visit) => matrices([a!, column(v!)], { ta: p.ta }, visit).slice(0, -1),
  dot: ([a], _p, visit) => {
    const n = a!.shape.at(-1)!;
    for (let k = 0; k < a!.data.length; k++) visit(Math.floor(k / n), k, k);
    return a!.shape.slice(0, -1);
  },
};

function bilinear(terms: Terms): Operator {
  return {
    run(args, p) {
      const [a, b] = args;
      const sums: number[] = [];
      const shape = terms(args, p, (y, i, j) => (sums[y] = (sums[y] ?? 0) + a!.data[i]! * b!.data[j]!));
      const out = zeros(shape);
      sums.forEach((v, k) => (out.data[k] = v));
      return out;
    },
    pull(i, g, _nr, _y, args, p) {
      const other = args[1 - i]!.data;
      const out = new Float64Array(args[i]!.data.length);
      terms(args, p, (y, a, b) => (out[i ? b : a]! += g.data[y]! * other[i ? a : b]!));
      return out;
    },
  };
}

/** x @ w.T + b (x @ w if not trans). */
const linear: Operator = {
  run([x, w, b], p) {
    const rows = tensor(x!.data, [x!.data.length / x!.shape.at(-1)!, x!.shape.at(-1)!]);
    const y = PRODUCTS.matmul!.run([rows, w!], { tb: p.trans !== false }) as Tensor;
    const n = y.shape[1]!;
    if (b) {
      const map = spread(b.shape, [...x!.shape.slice(0, -1), n]);
      y.data.forEach((v, k) => (y.data[k] = v + b.data[map ? map[k]! : k]!));
    }
    return tensor(y.data, [...x!.shape.slice(0, -1), n]);
  },
  pull(i, g, nr, y, [x, w, b], p) {
    if (i === 2) {
      const out = new Float64Array(b!.data.length);
      const map = spread(b!.shape, g.shape);
      g.data.forEach((v, k) => (out[map ? map[k]! : k]! += v));
      return out;
    }
    const rows = tensor(x!.data, [x!.data.length / x!.shape.at(-1)!, x!.shape.at(-1)!]);
    return PRODUCTS.matmul!.pull(i, tensor(g.data, [rows.shape[0]!, g.shape.at(-1)!]), nr, y, [rows, w!], { tb: p.trans !== false });
  },
};

/** Determinant and inverse by elimination with pivots; null for a singular matrix. */
function inverse(data: Float64Array, n: number): { det: number; inverse: Float64Array | null } {
  const a = data.slice();
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) out[i * n + i] = 1;
  let det = 1;
  for (let c = 0; c < n; c++) {
    let best = c;
    for (let r = c + 1; r < n; r++) if (Math.abs(a[r * n + c]!) > Math.abs(a[best * n + c]!)) best = r;
    const pivot = a[best * n + c]!;
    if (pivot === 0) return { det: 0, inverse: null };
    if (best !== c) {
      det = -det;
      for (const m of [a, out]) for (let k = 0; k < n; k++) [m[c * n + k], m[best * n + k]] = [m[best * n + k]!, m[c * n + k]!];
    }
    det *= pivot;
    for (const m of [out]) for (let k = 0; k < n; k++) m[c * n + k]! /= pivot;
    for (let k = 0; k < n; k++) a[c * n + k]! /= pivot;
    for (let r = 0; r < n; r++) {
      const f = a[r * n + c]!;
      if (r === c || f === 0) continue;
      for (let k = 0; k < n; k++) {
        a[r * n + k]! -= f * a[c * n + k]!;
        out[r * n + k]! -= f * out[c * n + k]!;
      }
    }
  }
  return { det, inverse: out };
}

/** The matrix of cofactors, also of a singular matrix: ∂det/∂A. */
function cofactors(data: Float64Array, n: number): Float64Array {
  return data.map((_, k) => {
    const row = Math.floor(k / n);
    const col = k % n;
    const minor: number[] = [];
    for (let r = 0; r < n; r++) for (let c = 0; c < n; c++) if (r !== row && c !== col) minor.push(data[r * n + c]!);
    return ((row + col) % 2 ? -1 : 1) * inverse(Float64Array.from(minor), n - 1).det;
  });
}

export const PRODUCTS: Record<string, Operator> = {
  ...Object.fromEntries(Object.entries(TERMS).map(([name, terms]) => [name, bilinear(terms)])),
  linear,
  linalg_det: {
    run: ([a]) => tensor(Float64Array.of(inverse(a!.data, a!.shape[0]!).det), []),
    pull: (_i, g, _nr, _y, [a]) => cofactors(a!.data, a!.shape[0]!).map((c) => c * g.data[0]!),
  },
  linalg_inv: {
    run: ([a]) => tensor(inverse(a!.data, a!.shape[0]!).inverse ?? a!.data.map(() => NaN), a!.shape),
    pull(_i, g, _nr, [y]) {
      const m = PRODUCTS.matmul!;
      const left = m.run([y!, g], { ta: true }) as Tensor;
      return (m.run([left, y!], { tb: true }) as Tensor).data.map((v) => -v);
    },
  },
};
