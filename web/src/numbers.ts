// Numbers and arrays as short texts, as chainrule.graphs.numbers writes them, and with all their digits.
import type { Model } from "./model";

const LARGEST_SHOWN = 6;
const LARGEST_EXACT = 1000;

function special(x: number): string | null {
  return Number.isNaN(x) ? "nan" : x === Infinity ? "inf" : x === -Infinity ? "-inf" : null;
}

/** As Python's `%.{digits}g`. */
export function general(x: number, digits = 4): string {
  const known = special(x);
  if (known !== null) return known;
  if (x === 0) return "0";
  const [mantissa, exponent] = rounded(x, digits).split("e") as [string, string];
  const power = Number(exponent);
  const strip = (s: string): string => (s.includes(".") ? s.replace(/\.?0+$/, "") : s);
  if (power < -4 || power >= digits) {
    return `${strip(mantissa)}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  return strip(Number(`${mantissa}e${exponent}`).toFixed(Math.max(0, digits - 1 - power)));
}

/** As toExponential, but what lies in the middle goes to the even digit, as in Python. */
function rounded(x: number, digits: number): string {
  const text = x.toExponential(digits - 1);
  const more = x.toExponential(digits);
  if (!more.includes("5e") || Number(more) !== x || !/^-?[\d.]+0{40}e/.test(x.toExponential(digits + 40))) return text;
  const [cut, power] = more.split("5e") as [string, string];
  return Number(cut.at(-1)) % 2 ? text : `${cut}e${power}`;
}

function rounder(dtype: string): ((x: number) => number) | null {
  if (dtype === "float32") return Math.fround;
  if (dtype === "float16") return (x) => toHalf(x, 11, -24);
  if (dtype === "bfloat16") return (x) => toHalf(Math.fround(x), 8, -133);
  return null;
}

/** Rounded to so many binary digits, ties to even. */
function toHalf(x: number, digits: number, least: number): number {
  if (!Number.isFinite(x) || x === 0) return x;
  const power = Math.max(Math.floor(Math.log2(Math.abs(x))) - digits + 1, least);
  const scaled = x / 2 ** power;
  const low = Math.floor(scaled);
  const rest = scaled - low;
  const rounded = rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low;
  return rounded * 2 ** power;
}

/** As many digits as it takes to read the same number back. */
export function exact(x: number, dtype = "float64"): string {
  const known = special(x);
  if (known !== null) return known;
  if (dtype === "bool") return x ? "True" : "False";
  const round = rounder(dtype);
  if (round !== null && x !== 0) {
    for (let digits = 1; digits <= 9; digits++) {
      const text = x.toPrecision(digits);
      if (round(Number(text)) === x) return pythonic(Number(text));
    }
  }
  return pythonic(x);
}

function pythonic(x: number): string {
  const size = Math.abs(x);
  const text = x !== 0 && (size < 1e-4 || size >= 1e16) ? x.toExponential() : Object.is(x, -0) ? "-0" : String(x);
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

export function short(x: number, dtype = "float64"): string {
  if (dtype === "bool") return x ? "True" : "False";
  if (dtype.includes("int")) return String(x);
  return general(x);
}

export function shapeText(shape: number[] | null): string {
  return shape === null ? "?" : shape.length ? shape.join("×") : "scalar";
}

export function listed(data: ArrayLike<number>, shape: number[], write: (x: number) => string): string {
  if (shape.length === 0) return write(data[0]!);
  const inner = shape.slice(1);
  const step = inner.reduce((a, b) => a * b, 1);
  const parts: string[] = [];
  for (let i = 0; i < shape[0]!; i++) {
    parts.push(inner.length ? listed(Array.prototype.slice.call(data, i * step, (i + 1) * step), inner, write) : write(data[i]!));
  }
  return `[${parts.join(", ")}]`;
}

/** An array: a number, a short list, or its shape with mean and spread. */
export function arrayText(data: ArrayLike<number>, shape: number[], dtype: string, full = false): string {
  const write = (x: number): string => (full ? exact(x, dtype) : short(x, dtype));
  if (data.length === 1) return write(data[0]!);
  if (data.length && data.length <= (full ? LARGEST_EXACT : LARGEST_SHOWN)) return listed(data, shape, write);
  const size = `[${shape.join("×")}]`;
  if (data.length === 0 || dtype === "bool") return size;
  let low = Infinity;
  let high = -Infinity;
  let sum = 0;
  for (let i = 0; i < data.length; i++) {
    const x = data[i]!;
    low = x < low || Number.isNaN(x) ? x : low;
    high = x > high || Number.isNaN(x) ? x : high;
    sum += x;
  }
  return `${size} mean ${general(sum / data.length)}, in ${general(low)} … ${general(high)}`;
}

/** The value (or the gradient) of a node, or "" if it is not known. */
export function valueText(model: Model, i: number, gradient = false, full = false): string {
  const data = gradient ? model.gradient(i) : model.value(i);
  const dtype = model.dtype(i);
  const shape = model.shape(i) ?? [];
  if (data !== null) {
    const whole = gradient || model.edit ? undefined : model.doc.exact[i];
    return whole ?? arrayText(data, shape, dtype, full);
  }
  const s = model.summary(i, gradient);
  if (s === null) return gradient ? "" : (model.doc.shown[i] ?? "");
  const size = `[${shape.join("×")}]`;
  if (dtype === "bool") return size;
  const text = `${size} mean ${general(s.mean)}, in ${general(s.min)} … ${general(s.max)}`;
  return full ? `${text}, deviation ${general(s.std)}; begins ${Array.from(s.sample, (x) => short(x, dtype)).join(", ")}, …` : text;
}

/** Of a large array its shape and mean only; cut to so many characters. */
export function brief(text: string, most = 26): string {
  const cut = text.startsWith("[") && text.includes("] mean ") ? text.split(", in ")[0]! : text;
  return shortened(cut, most);
}

export function shortened(text: string, most: number): string {
  const letters = [...text];
  return letters.length <= most ? text : `${letters.slice(0, most - 1).join("")}…`;
}

/** As a factor or a term: negative ones in brackets. */
export function factor(x: number): string {
  const text = general(x);
  return text.startsWith("-") ? `(${text})` : text;
}

export const plural = (n: number, what: string): string => `${n.toLocaleString("en-US").replaceAll(",", "\u202f")} ${what}${n === 1 ? "" : "s"}`;
