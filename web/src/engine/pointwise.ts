// Operators that work element by element: the function, the partial derivative in each argument, and for those that
// choose between their arguments, which elements were chosen. The tables follow src/chainrule/ops.
import { broadcastShape, sizeOf, spread, tensor, type Operator, type Tensor } from "./tensor";

type F = (...x: number[]) => number;
/** (y, ...x): the partial derivative; 0 where none passes. */
type Entry = [f: (...x: number[]) => number, partials: F[], selects?: (F | null)[]];

const yes = (b: boolean): number => (b ? 1 : 0);
const not = (b: boolean): number => (b ? 0 : 1);
const sign = (x: number): number => (x > 0 ? 1 : x < 0 ? -1 : 0);
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const { LN2, LN10, PI } = Math;

/** Half to even, as NumPy rounds. */
export function roundEven(x: number): number {
  const r = Math.round(x);
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r;
}

/** By its Taylor series near 0, further out by the continued fraction of erfc (Abramowitz and Stegun 7.1.5, 7.1.14). */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return NaN;
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 200 && Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(PI)) * sum;
  }
  return Math.sign(x) * (1 - tail(a));
}

/** erfc for x ≥ 2 by its continued fraction. */
function tail(x: number): number {
  let f = 0;
  for (let k = 80; k > 0; k--) f = k / 2 / (x + f);
  return Math.exp(-x * x) / Math.sqrt(PI) / (x + f);
}

export const erfc = (x: number): number => (x > 2 ? tail(x) : 1 - erf(x));

const half: F = (_y, a, b) => (a === b ? 0.5 : 1);
const greater: [F, F] = [(_y, a, b) => not(a! < b!), (_y, a, b) => not(a! > b!)];
const less: [F, F] = [(_y, a, b) => not(a! > b!), (_y, a, b) => not(a! < b!)];
const one: F = () => 1;
const none: F = () => 0;
const max: F = (a, b) => (Number.isNaN(a) || Number.isNaN(b) ? NaN : Math.max(a!, b!));
const min: F = (a, b) => (Number.isNaN(a) || Number.isNaN(b) ? NaN : Math.min(a!, b!));
const powBase: F = (y, x) => y! * (x! > 0 ? Math.log(x!) : x === 0 ? 0 : NaN);
const byBase: F = (_y, x, e) => (e === 0 ? 0 : e! * power(x!, e! - 1));
const power = (x: number, e: number): number => (x === 1 || e === 0 ? 1 : Math.abs(x) === 1 && !Number.isFinite(e) && !Number.isNaN(e) ? 1 : x ** e);
const floorDivide = (a: number, b: number): number => Math.floor(a / b);
const remainder = (a: number, b: number): number => {
  const r = a % b;
  return r !== 0 && r < 0 !== b < 0 ? r + b : r;
};
const gelu: F = (x) => x! * 0.5 * (1 + erf(x! * Math.SQRT1_2));
const geluTanh: F = (x) => x! * 0.5 * (1 + Math.tanh(Math.sqrt(2 / PI) * (x! + 0.044715 * x! ** 3)));
const logistic: [F, F] = [(_y, a, b) => sigmoid(a! - b!), (_y, a, b) => sigmoid(b! - a!)];

const TABLE: Record<string, Entry> = {
  add: [(a, b) => a! + b!, [one, one]],
  sub: [(a, b) => a! - b!, [one, () => -1]],
  mul: [(a, b) => a! * b!, [(_y, _a, b) => b!, (_y, a) => a!]],
  div: [(a, b) => a! / b!, [(_y, _a, b) => 1 / b!, (_y, a, b) => -a! / b! / b!]],
  div_floor: [(a, b) => floorDivide(a!, b!), [none, none]],
  div_trunc: [(a, b) => Math.trunc(a! / b!), [none, none]],
  remainder: [(a, b) => remainder(a!, b!), [one, (_y, a, b) => -floorDivide(a!, b!)]],
  fmod: [(a, b) => a! % b!, [one, (_y, a, b) => -Math.trunc(a! / b!)]],
  neg: [(x) => -x!, [() => -1]],
  square: [(x) => x! * x!, [(_y, x) => 2 * x!]],
  sqrt: [(x) => Math.sqrt(x!), [(y) => 0.5 / y!]],
  pow_half: [(x) => Math.sqrt(x!), [(y) => 0.5 / y!]],
  rsqrt: [(x) => 1 / Math.sqrt(x!), [(y) => -0.5 * y! ** 3]],
  reciprocal: [(x) => 1 / x!, [(y) => -y! * y!]],
  pow: [(x, e) => power(x!, e!), [(_y, x, e) => (e === 0 ? 0 : e! * power(x!, e! - 1)), (y, x, e) => (x === 0 && e! >= 0 ? 0 : y! * Math.log(x!))]],
  pow_smooth: [(x, e) => power(x!, e!), [byBase, none]],
  pow_number: [(x, e) => power(x!, e!), [byBase, none]],
  pow_base: [(x, e) => power(x!, e!), [none, powBase]],
  exp: [(x) => Math.exp(x!), [(y) => y!]],
  exp2: [(x) => 2 ** x!, [(y) => y! * LN2]],
  expm1: [(x) => Math.expm1(x!), [(y) => y! + 1]],
  log: [(x) => Math.log(x!), [(_y, x) => 1 / x!]],
  log2: [(x) => Math.log2(x!), [(_y, x) => 1 / (x! * LN2)]],
  log10: [(x) => Math.log10(x!), [(_y, x) => 1 / (x! * LN10)]],
  log1p: [(x) => Math.log1p(x!), [(_y, x) => 1 / (x! + 1)]],
  logaddexp: [(a, b) => (a === b ? a! + LN2 : Math.max(a!, b!) + Math.log1p(Math.exp(-Math.abs(a! - b!)))), logistic],
  sigmoid: [(x) => sigmoid(x!), [(y) => y! * (1 - y!)]],
  logsigmoid: [(x) => Math.min(x!, 0) - Math.log1p(Math.exp(-Math.abs(x!))), [(_y, x) => sigmoid(-x!)]],
  abs: [(x) => Math.abs(x!), [(_y, x) => sign(x!)]],
  sign: [(x) => sign(x!), [none]],
  sgn: [(x) => sign(x!), [none]],
  floor: [(x) => Math.floor(x!), [none]],
  ceil: [(x) => Math.ceil(x!), [none]],
  trunc: [(x) => Math.trunc(x!), [none]],
  frac: [(x) => x! - Math.trunc(x!), [one]],
  round: [(x) => roundEven(x!), [none]],
  sin: [(x) => Math.sin(x!), [(_y, x) => Math.cos(x!)]],
  cos: [(x) => Math.cos(x!), [(_y, x) => -Math.sin(x!)]],
  tan: [(x) => Math.tan(x!), [(y) => 1 + y! * y!]],
  asin: [(x) => Math.asin(x!), [(_y, x) => 1 / Math.sqrt(1 - x! * x!)]],
  acos: [(x) => Math.acos(x!), [(_y, x) => -1 / Math.sqrt(1 - x! * x!)]],
  atan: [(x) => Math.atan(x!), [(_y, x) => 1 / (1 + x! * x!)]],
  sinh: [(x) => Math.sinh(x!), [(_y, x) => Math.cosh(x!)]],
  cosh: [(x) => Math.cosh(x!), [(_y, x) => Math.sinh(x!)]],
  tanh: [(x) => Math.tanh(x!), [(y) => 1 - y! * y!]],
  asinh: [(x) => Math.asinh(x!), [(_y, x) => 1 / Math.sqrt(x! * x! + 1)]],
  acosh: [(x) => Math.acosh(x!), [(_y, x) => 1 / Math.sqrt(x! * x! - 1)]],
  atanh: [(x) => Math.atanh(x!), [(_y, x) => 1 / (1 - x! * x!)]],
  atan2: [(a, b) => Math.atan2(a!, b!), [(_y, a, b) => b! / (a! * a! + b! * b!), (_y, a, b) => -a! / (a! * a! + b! * b!)]],
  hypot: [(a, b) => Math.hypot(a!, b!), [(y, a) => a! / y!, (y, _a, b) => b! / y!]],
  erf: [(x) => erf(x!), [(_y, x) => (2 / Math.sqrt(PI)) * Math.exp(-x! * x!)]],
  fast_erf: [(x) => erf(x!), [(_y, x) => (2 / Math.sqrt(PI)) * Math.exp(-x! * x!)]],
  erfc: [(x) => erfc(x!), [(_y, x) => (-2 / Math.sqrt(PI)) * Math.exp(-x! * x!)]],
  relu: [(x) => (Number.isNaN(x) ? NaN : Math.max(x!, 0)), [one], [(y) => not(y === 0)]],
  gelu: [gelu, [(_y, x) => 0.5 * (1 + erf(x! * Math.SQRT1_2)) + (x! * Math.exp(-0.5 * x! * x!)) / Math.sqrt(2 * PI)]],
  gelu_tanh: [
    geluTanh,
    [(_y, x) => {
      const t = Math.tanh(Math.sqrt(2 / PI) * (x! + 0.044715 * x! ** 3));
      return 0.5 * (1 + t + x! * (1 - t * t) * (1 + 3 * 0.044715 * x! * x!) * Math.sqrt(2 / PI));
    }],
  ],
  silu: [(x) => x! * sigmoid(x!), [(_y, x) => sigmoid(x!) * (1 + x! * (1 - sigmoid(x!)))]],
  mish: [
    (x) => x! * Math.tanh(softplus(x!)),
    [(_y, x) => {
      const t = Math.tanh(softplus(x!));
      return t + x! * (1 - t * t) * sigmoid(x!);
    }],
  ],
  softsign: [(x) => x! / (1 + Math.abs(x!)), [(_y, x) => 1 / (1 + Math.abs(x!)) ** 2]],
  tanhshrink: [(x) => x! - Math.tanh(x!), [(y, x) => (x! - y!) ** 2]],
  hardswish: [(x) => (x! * Math.min(Math.max(x! + 3, 0), 6)) / 6, [(_y, x) => (x! <= -3 ? 0 : x! < 3 ? x! / 3 + 0.5 : 1)]],
  hardsigmoid: [(x) => Math.min(Math.max(x! + 3, 0), 6) / 6, [() => 1 / 6], [(_y, x) => yes(x! > -3 && x! < 3)]],
  maximum: [max, [half, half], greater],
  minimum: [min, [half, half], less],
  fmax: [(a, b) => (a! >= b! || Number.isNaN(b) ? a! : b!), [one, one], [(_y, a, b) => yes(a! >= b! || Number.isNaN(b)), (_y, a, b) => not(a! >= b! || Number.isNaN(b))]],
  fmin: [(a, b) => (a! <= b! || Number.isNaN(b) ? a! : b!), [one, one], [(_y, a, b) => yes(a! <= b! || Number.isNaN(b)), (_y, a, b) => not(a! <= b! || Number.isNaN(b))]],
  where: [(c, a, b) => (c ? a! : b!), [none, one, one], [null, (_y, c) => c!, (_y, c) => not(!!c)]],
  masked_fill: [(m, x, v) => (m ? v! : x!), [none, one, one], [null, (_y, m) => not(!!m), (_y, m) => m!]],
  clamp: [
    (x, lo, hi) => min(max(x!, lo!), hi!),
    [one, one, one],
    [(_y, x, lo, hi) => yes(x! >= lo! && x! <= hi!), (_y, x, lo, hi) => yes(lo! < hi! && x! < lo!), (_y, x, lo, hi) => yes(x! > hi! || lo! > hi!)],
  ],
  clamp_min: [max, [one, one], [(_y, x, lo) => yes(x! >= lo!), (_y, x, lo) => yes(x! < lo!)]],
  clamp_max: [min, [one, one], [(_y, x, hi) => yes(x! <= hi!), (_y, x, hi) => yes(x! > hi!)]],
  lerp: [(a, b, w) => (Math.abs(w!) < 0.5 ? a! + w! * (b! - a!) : b! - (b! - a!) * (1 - w!)), [(_y, _a, _b, w) => 1 - w!, (_y, _a, _b, w) => w!, (_y, a, b) => b! - a!]],
  prelu: [(x, w) => (x! > 0 ? x! : x! * w!), [(_y, x, w) => (x! > 0 ? 1 : w!), (_y, x) => (x! > 0 ? 0 : x!)]],
  eq: [(a, b) => yes(a === b), []],
  ne: [(a, b) => yes(a !== b), []],
  lt: [(a, b) => yes(a! < b!), []],
  le: [(a, b) => yes(a! <= b!), []],
  gt: [(a, b) => yes(a! > b!), []],
  ge: [(a, b) => yes(a! >= b!), []],
  logical_and: [(a, b) => yes(!!a && !!b), []],
  logical_or: [(a, b) => yes(!!a || !!b), []],
  logical_xor: [(a, b) => yes(!!a !== !!b), []],
  logical_not: [(a) => not(!!a), []],
  isnan: [(a) => yes(Number.isNaN(a)), []],
  isfinite: [(a) => yes(Number.isFinite(a)), []],
  isinf: [(a) => yes(a === Infinity || a === -Infinity), []],
};

type P = Record<string, number>;
/** Those with parameters. */
const WITH: Record<string, (p: P) => Entry> = {
  leaky_relu: ({ slope }) => [(x) => (x! > 0 ? x! : x! * slope!), [(_y, x) => (x! > 0 ? 1 : slope!)]],
  elu: ({ alpha, scale, input_scale }) => [
    (x) => (x! > 0 ? x! * scale! : Math.expm1(x! * input_scale!) * alpha! * scale!),
    [(y, x) => (x! <= 0 ? (y! + alpha! * scale!) * input_scale! : scale!)],
  ],
  softplus: ({ beta, threshold }) => [
    (x) => (x! * beta! > threshold! ? x! : softplus(x! * beta!) / beta!),
    [(_y, x) => (x! * beta! > threshold! ? 1 : sigmoid(x! * beta!))],
  ],
  hardtanh: ({ low, high }) => [(x) => min(max(x!, low!), high!), [one], [(_y, x) => not(x! <= low! || x! >= high!)]],
  hardshrink: ({ lambd }) => [(x) => (Math.abs(x!) <= lambd! ? 0 : x!), [one], [(_y, x) => not(Math.abs(x!) <= lambd!)]],
  softshrink: ({ lambd }) => [(x) => sign(x!) * Math.max(Math.abs(x!) - lambd!, 0), [one], [(_y, x) => not(Math.abs(x!) <= lambd!)]],
  threshold: ({ threshold, value }) => [(x) => (x! <= threshold! ? value! : x!), [one], [(_y, x) => not(x! <= threshold!)]],
  addcmul: ({ value }) => [(x, a, b) => x! + value! * a! * b!, [one, (_y, _x, _a, b) => b! * value!, (_y, _x, a) => a! * value!]],
  addcdiv: ({ value }) => [(x, a, b) => x! + (value! * a!) / b!, [one, (_y, _x, _a, b) => value! / b!, (_y, _x, a, b) => (-value! * a!) / (b! * b!)]],
  round_decimals: ({ decimals }) => [(x) => roundEven(x! * 10 ** decimals!) / 10 ** decimals!, [none]],
};

function operator(entry: (p: P) => Entry): Operator {
  const each = (y: Tensor | null, args: Tensor[], f: F): Float64Array => {
    const shape = y ? y.shape : broadcastShape(args.map((a) => a.shape));
    const out = new Float64Array(sizeOf(shape));
    const maps = args.map((a) => spread(a.shape, shape));
    const x = new Array<number>(args.length + (y ? 1 : 0));
    for (let k = 0; k < out.length; k++) {
      let at = 0;
      if (y) x[at++] = y.data[k]!;
      for (let i = 0; i < args.length; i++) x[at++] = args[i]!.data[maps[i] ? maps[i]![k]! : k]!;
      out[k] = f(...x);
    }
    return out;
  };
  return {
    pointwise: true,
    run(args, params) {
      const given = args as Tensor[];
      return tensor(each(null, given, entry(params as P)[0]), broadcastShape(given.map((a) => a.shape)));
    },
    pull(i, g, _nr, [y], args, params, mask) {
      const [, partials, selects] = entry(params as P);
      const given = args as Tensor[];
      const local = each(y!, given, partials[i] ?? none);
      const chosen = selects?.[i] ? each(y!, given, selects[i]!) : null;
      const x = given[i]!;
      const out = new Float64Array(x.data.length);
      const map = spread(x.shape, y!.shape);
      for (let k = 0; k < local.length; k++) {
        if ((chosen && !chosen[k]) || (mask && !mask[k])) continue;
        out[map ? map[k]! : k]! += local[k]! * g.data[k]!;
      }
      return out;
    },
    live(i, y, args, params) {
      const selects = entry(params as P)[2];
      return selects?.[i] ? each(y, args as Tensor[], selects[i]!) : new Float64Array(y.data.length).fill(1);
    },
  };
}

export const POINTWISE: Record<string, Operator> = Object.fromEntries([
  ...Object.entries(TABLE).map(([name, entry]) => [name, operator(() => entry)]),
  ...Object.entries(WITH).map(([name, make]) => [name, operator(make)]),
]) as Record<string, Operator>;
