// Convolution and pooling, over windows that slide through the last dimensions.
import { sizeOf, strides, tensor, walk, zeros, type Operator, type Tensor } from "./tensor";

type Params = Record<string, unknown>;

interface Sliding {
  out: number[];
  /** For each place of a window in the output and each place in the window: where that is in the input; -1: in the padding. */
  at: Int32Array;
  /** Places in a window. */
  size: number;
}

/** shape: the input's last sizes. */
function sliding(shape: number[], kernel: number[], p: Params): Sliding {
  const stride = p.stride as number[];
  const padding = p.padding as [number, number][];
  const dilation = (p.dilation as number[] | undefined) ?? kernel.map(() => 1);
  const out = shape.map((n, d) => Math.floor((n + padding[d]![0] + padding[d]![1] - dilation[d]! * (kernel[d]! - 1) - 1) / stride[d]!) + 1);
  const size = sizeOf(kernel);
  const own = strides(shape);
  const outer = strides(out);
  const inner = strides(kernel);
  const at = new Int32Array(sizeOf(out) * size);
  for (let o = 0; o < sizeOf(out); o++) {
    for (let k = 0; k < size; k++) {
      let place = 0;
      for (let d = 0; d < shape.length && place >= 0; d++) {
        const x = (Math.floor(o / outer[d]!) % out[d]!) * stride[d]! + (Math.floor(k / inner[d]!) % kernel[d]!) * dilation[d]! - padding[d]![0];
        place = x < 0 || x >= shape[d]! ? -1 : place + x * own[d]!;
      }
      at[o * size + k] = place;
    }
  }
  return { out, at, size };
}

/** Every product of a convolution: where it is added, and its factors in x and w. */
function products([x, w]: (Tensor | null)[], p: Params, visit: (y: number, x: number, w: number) => void): number[] {
  const [n, c] = x!.shape as [number, number];
  const [o, each] = w!.shape as [number, number];
  const { out, at, size } = sliding(x!.shape.slice(2), w!.shape.slice(2), p);
  const area = sizeOf(out);
  const plane = sizeOf(x!.shape.slice(2));
  const perGroup = o / (p.groups as number);
  for (let b = 0; b < n; b++) {
    for (let f = 0; f < o; f++) {
      const first = Math.floor(f / perGroup) * each;
      for (let ch = 0; ch < each; ch++) {
        const from = (b * c + first + ch) * plane;
        const weight = (f * each + ch) * size;
        for (let k = 0; k < at.length; k++) {
          if (at[k]! >= 0) visit((b * o + f) * area + Math.floor(k / size), from + at[k]!, weight + (k % size));
        }
      }
    }
  }
  return [n, o, ...out];
}

/** The windows of every plane before the last `rank` dimensions. */
function planes(x: Tensor, p: Params, visit: (y: number, at: Int32Array, start: number) => void): number[] {
  const kernel = p.kernel as number[];
  const split = x.shape.length - kernel.length;
  const { out, at, size } = sliding(x.shape.slice(split), kernel, p);
  const plane = sizeOf(x.shape.slice(split));
  const area = sizeOf(out);
  for (let b = 0; b < sizeOf(x.shape.slice(0, split)); b++) {
    for (let o = 0; o < area; o++) visit(b * area + o, at.subarray(o * size, (o + 1) * size), b * plane);
  }
  return [...x.shape.slice(0, split), ...out];
}

/** Where the first largest element of a window is; NaN is the largest. */
function largest(x: Tensor, at: Int32Array, start: number): number {
  let best = -1;
  for (const k of at) {
    if (k < 0) continue;
    const v = x.data[start + k]!;
    if (best < 0 || v > x.data[best]! || (Number.isNaN(v) && !Number.isNaN(x.data[best]!))) best = start + k;
  }
  return best;
}

export const WINDOWS: Record<string, Operator> = {
  convolution: {
    run(args, p) {
      const [x, w, b] = args;
      const sums: number[] = [];
      const out = zeros(products(args, p, (y, i, j) => (sums[y] = (sums[y] ?? 0) + x!.data[i]! * w!.data[j]!)));
      const area = sizeOf(out.shape.slice(2));
      for (let k = 0; k < out.data.length; k++) out.data[k] = (sums[k] ?? 0) + (b ? b.data[Math.floor(k / area) % out.shape[1]!]! : 0);
      return out;
    },
    pull(i, g, _nr, _y, args, p) {
      const out = new Float64Array(args[i]!.data.length);
      if (i === 2) {
        const area = sizeOf(g.shape.slice(2));
        g.data.forEach((v, k) => (out[Math.floor(k / area) % g.shape[1]!]! += v));
      } else if (i === 1) products(args, p, (y, x, w) => (out[w]! += g.data[y]! * args[0]!.data[x]!));
      else products(args, p, (y, x, w) => (out[x]! += g.data[y]! * args[1]!.data[w]!));
      return out;
    },
  },
  max_pool: {
    run([x], p) {
      const found: number[] = [];
      const shape = planes(x!, p, (y, at, start) => (found[y] = x!.data[largest(x!, at, start)] ?? -Infinity));
      return tensor(Float64Array.from(found), shape);
    },
    pull(_i, g, _nr, _y, [x], p) {
      const out = new Float64Array(x!.data.length);
      planes(x!, p, (y, at, start) => {
        const k = largest(x!, at, start);
        if (k >= 0) out[k]! += g.data[y]!;
      });
      return out;
    },
  },
  window_sum: {
    run([x], p) {
      const found: number[] = [];
      const shape = planes(x!, p, (y, at, start) => (found[y] = at.reduce((sum, k) => (k < 0 ? sum : sum + x!.data[start + k]!), 0)));
      return tensor(Float64Array.from(found), shape);
    },
    pull(_i, g, _nr, _y, [x], p) {
      const out = new Float64Array(x!.data.length);
      planes(x!, p, (y, at, start) => at.forEach((k) => k >= 0 && (out[start + k]! += g.data[y]!)));
      return out;
    },
  },
  constant_pad_nd: {
    run([x], p) {
      const { shape, start, step } = padded(x!, p);
      const out = tensor(new Float64Array(sizeOf(shape)).fill(Number(p.value ?? 0)), shape);
      walk(x!.shape, step, start, (at, k) => (out.data[at] = x!.data[k]!));
      return out;
    },
    pull(_i, g, _nr, _y, [x], p) {
      const { start, step } = padded(x!, p);
      const out = new Float64Array(x!.data.length);
      walk(x!.shape, step, start, (at, k) => (out[k] = g.data[at]!));
      return out;
    },
  },
};

/** Sizes with padding (none of it negative) of the last dimensions, and where the input stands in them. */
function padded(x: Tensor, p: Params): { shape: number[]; start: number; step: number[] } {
  const given = p.pad as [number, number][];
  const pairs = [...x.shape.slice(given.length).map((): [number, number] => [0, 0]), ...given];
  if (given.some(([a, b]) => a < 0 || b < 0)) throw new Error("padding that crops");
  const shape = x.shape.map((n, d) => n + pairs[d]![0] + pairs[d]![1]);
  const step = strides(shape);
  return { shape, step, start: pairs.reduce((sum, [a], d) => sum + a * step[d]!, 0) };
}
