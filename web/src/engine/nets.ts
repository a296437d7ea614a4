// Losses, normalisations and dropout.
import { dimensions, grouping, sizeOf, spread, tensor, type Operator, type Tensor } from "./tensor";
import { REDUCE } from "./reduce";

type Params = Record<string, unknown>;

/** Standardised over `dims`, then scaled and shifted: the result, the means, one over the standard deviations. */
const standardize: Operator = {
  run([x, w, b], p) {
    const { mean, rstd, g, kept } = moments(x!, p);
    const map = spread(p.affine as number[], x!.shape);
    const out = x!.data.map((v, k) => {
      const z = (v - mean[g.place[k]!]!) * rstd[g.place[k]!]!;
      const at = map ? map[k]! : k;
      return z * (w ? w.data[at]! : 1) + (b ? b.data[at]! : 0);
    });
    return [tensor(out, x!.shape), tensor(mean, kept), tensor(rstd, kept)];
  },
  pull(i, grad, nr, _y, [x, w, b], p) {
    const size = [x, w, b][i]!.data.length;
    const out = new Float64Array(size);
    if (nr) return out;
    const { mean, rstd, g } = moments(x!, p);
    const map = spread(p.affine as number[], x!.shape);
    const z = x!.data.map((v, k) => (v - mean[g.place[k]!]!) * rstd[g.place[k]!]!);
    if (i > 0) {
      grad.data.forEach((v, k) => (out[map ? map[k]! : k]! += i === 1 ? v * z[k]! : v));
      return out;
    }
    const gw = grad.data.map((v, k) => v * (w ? w.data[map ? map[k]! : k]! : 1));
    const sum = new Float64Array(mean.length);
    const dot = new Float64Array(mean.length);
    gw.forEach((v, k) => {
      sum[g.place[k]!]! += v / g.count;
      dot[g.place[k]!]! += (v * z[k]!) / g.count;
    });
    return gw.map((v, k) => rstd[g.place[k]!]! * (v - sum[g.place[k]!]! - z[k]! * dot[g.place[k]!]!));
  },
};

function moments(x: Tensor, p: Params) {
  const dims = dimensions(p.dims, x.shape.length);
  const g = grouping(x.shape, dims, true);
  const mean = new Float64Array(x.data.length / g.count);
  x.data.forEach((v, k) => (mean[g.place[k]!]! += v / g.count));
  const rstd = new Float64Array(mean.length);
  x.data.forEach((v, k) => (rstd[g.place[k]!]! += (v - mean[g.place[k]!]!) ** 2 / g.count));
  return { g, mean, rstd: rstd.map((v) => 1 / Math.sqrt(v + Number(p.eps))), kept: g.shape };
}

/** Where each target's element stands in x of shape (N, C, …), with its weight, and what a mean divides by. */
function targets(x: Tensor, t: Tensor, weight: Tensor | null, p: Params): { at: Int32Array; w: Float64Array; total: number } {
  const classes = x.shape[1]!;
  const inner = sizeOf(x.shape.slice(2));
  const at = new Int32Array(t.data.length);
  const w = new Float64Array(t.data.length);
  let total = 0;
  t.data.forEach((c, k) => {
    const used = c !== Number(p.ignore_index);
    at[k] = (Math.floor(k / inner) * classes + (used ? c : 0)) * inner + (k % inner);
    w[k] = used ? (weight ? weight.data[c]! : 1) : 0;
    total += w[k]!;
  });
  return { at, w, total };
}

function picked(x: Tensor, t: Tensor, weight: Tensor | null, p: Params): Tensor {
  const { at, w, total } = targets(x, t, weight, p);
  const each = w.map((v, k) => (v === 0 ? 0 : -v * x.data[at[k]!]!));
  if (p.reduction === "none") return tensor(each, t.shape);
  const sum = each.reduce((a, b) => a + b, 0);
  return tensor(Float64Array.of(p.reduction === "sum" ? sum : sum / total), []);
}

function spreadBack(g: Tensor, x: Tensor, t: Tensor, weight: Tensor | null, p: Params): Float64Array {
  const { at, w, total } = targets(x, t, weight, p);
  const out = new Float64Array(x.data.length);
  w.forEach((v, k) => {
    const up = p.reduction === "none" ? g.data[k]! : g.data[0]! / (p.reduction === "mean" ? total : 1);
    out[at[k]!]! -= v * up;
  });
  return out;
}

const logs = (x: Tensor): Tensor => REDUCE.log_softmax!.run([x], { dim: 1 }) as Tensor;

export const NETS: Record<string, Operator> = {
  layer_norm: standardize,
  batch_norm: standardize,
  group_norm: standardize,
  nll_pick: {
    run: ([x, t, w], p) => picked(x!, t!, w ?? null, p),
    pull: (_i, g, _nr, _y, [x, t, w], p) => spreadBack(g, x!, t!, w ?? null, p),
  },
  cross_entropy: {
    run: ([x, t, w], p) => picked(logs(x!), t!, w ?? null, p),
    pull(_i, g, nr, _y, [x, t, w], p) {
      const log = logs(x!);
      return REDUCE.log_softmax!.pull(0, tensor(spreadBack(g, x!, t!, w ?? null, p), x!.shape), nr, [log], [x!], { dim: 1 });
    },
  },
  mse_loss: {
    run([a, b], p) {
      const d = a!.data.map((v, k) => (v - b!.data[k]!) ** 2);
      if (p.reduction === "none") return tensor(d, a!.shape);
      const sum = d.reduce((s, v) => s + v, 0);
      return tensor(Float64Array.of(p.reduction === "sum" ? sum : sum / d.length), []);
    },
    pull(i, g, _nr, _y, [a, b], p) {
      const by = (i ? -2 : 2) / (p.reduction === "mean" ? a!.data.length : 1);
      return a!.data.map((v, k) => by * (v - b!.data[k]!) * g.data[g.data.length > 1 ? k : 0]!);
    },
  },
  dropout: {
    run: ([mask, x], p) => tensor(x!.data.map((v, k) => (mask!.data[k] ? v * Number(p.scale) : 0)), x!.shape),
    pull: (_i, g, _nr, _y, [mask], p) => g.data.map((v, k) => (mask!.data[k] ? v * Number(p.scale) : 0)),
  },
};
