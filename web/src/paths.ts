// Paths from a node to the output: how many, which, their products, and the same sum with common factors taken out.
import type { Model } from "./model";
import { factor, general } from "./numbers";
import { derivativeOf } from "./rules";

export const FIRST = 6; // paths that are written out

export interface Path {
  edges: number[];
  /** The product of the local derivatives, with as many elements as the start; null where the page cannot tell. */
  product: Float64Array | null;
}

export interface Route {
  start: number;
  end: number;
  nodes: Set<number>;
  edges: Set<number>;
  /** How many paths: exactly, or where that is too large, about. */
  count: string;
  few: boolean;
  paths: Path[];
  factored: { formula: string; numbers: string } | null;
  sum: Float64Array | null;
}

/** The nodes from which `end` can be reached along edges that gradients flow through. */
function leading(model: Model, end: number, first: number): Set<number> {
  const seen = new Set([end]);
  const stack = [end];
  while (stack.length) {
    for (const e of model.edgesInto(stack.pop()!)) {
      const s = model.source[e]!;
      if (model.flows[e] && s >= first && !seen.has(s)) {
        seen.add(s);
        stack.push(s);
      }
    }
  }
  return seen;
}

export function routeBetween(model: Model, start: number): Route | null {
  for (const end of model.outputs) {
    const leads = leading(model, end, start);
    if (end !== start && leads.has(start)) return routeTo(model, start, end, leads);
  }
  return null;
}

function routeTo(model: Model, start: number, end: number, leads: Set<number>): Route {
  const nodes = new Set([start]);
  const edges = new Set<number>();
  const order: number[] = [];
  for (const k of [...leads].sort((a, b) => a - b)) {
    if (!nodes.has(k)) continue;
    order.push(k);
    for (const e of model.edgesFrom(k)) {
      if (model.flows[e] && leads.has(model.target[e]!)) {
        edges.add(e);
        nodes.add(model.target[e]!);
      }
    }
  }
  const exact = edges.size <= 20_000;
  const { count, few } = exact ? counted(model, order, end, edges) : estimated(model, order, end, edges);
  const paths = firstPaths(model, start, end, leads, FIRST);
  const whole = few && paths.every((p) => p.product !== null);
  const size = model.size(start);
  let sum: Float64Array | null = whole ? new Float64Array(size) : null;
  if (sum) for (const p of paths) for (let i = 0; i < size; i++) sum[i]! += p.product![i]!;
  else if (model.outputs.length === 1) sum = model.gradient(start);
  return { start, end, nodes, edges, count, few, paths, factored: exact ? factored(model, order, end, edges) : null, sum };
}

function forwardCounts(model: Model, order: number[], edges: Set<number>): Map<number, bigint> {
  const counts = new Map<number, bigint>([[order[0]!, 1n]]);
  for (const k of order) {
    const own = counts.get(k) ?? 0n;
    for (const e of model.edgesFrom(k)) {
      if (edges.has(e)) counts.set(model.target[e]!, (counts.get(model.target[e]!) ?? 0n) + own);
    }
  }
  return counts;
}

function counted(model: Model, order: number[], end: number, edges: Set<number>): { count: string; few: boolean } {
  const total = forwardCounts(model, order, edges).get(end)!;
  const text = total.toString();
  return { few: total <= BigInt(FIRST), count: text.length > 12 ? `about ${text[0]}.${text[1]}·10^${text.length - 1}` : text.replace(/\B(?=(\d{3})+$)/g, "\u202f") };
}

/** In logarithms, for very many edges. */
function estimated(model: Model, order: number[], end: number, edges: Set<number>): { count: string; few: boolean } {
  const counts = new Map<number, number>([[order[0]!, 0]]);
  for (const k of order) {
    const own = counts.get(k)!;
    for (const e of model.edgesFrom(k)) {
      if (!edges.has(e)) continue;
      const t = model.target[e]!;
      const before = counts.get(t);
      counts.set(t, before === undefined ? own : Math.max(before, own) + Math.log1p(Math.exp(-Math.abs(before - own))));
    }
  }
  const log = counts.get(end)! / Math.LN10;
  if (log < 12) {
    const total = Math.round(10 ** log);
    return { few: total <= FIRST, count: String(total) };
  }
  return { few: false, count: `about ${general(10 ** (log % 1), 2)}·10^${Math.floor(log)}` };
}

function firstPaths(model: Model, start: number, end: number, leads: Set<number>, most: number): Path[] {
  const found: Path[] = [];
  const trail: number[] = [];
  const next = (k: number): Iterator<number> =>
    Array.from(model.edgesFrom(k)).filter((e) => model.flows[e] && leads.has(model.target[e]!))[Symbol.iterator]();
  const stack = [next(start)];
  while (stack.length && found.length < most) {
    const step = stack[stack.length - 1]!.next();
    if (step.done) {
      stack.pop();
      trail.pop();
      continue;
    }
    trail.push(step.value);
    if (model.target[step.value] === end) {
      found.push({ edges: trail.slice(), product: productOf(model, trail, end) });
      trail.pop();
    } else stack.push(next(model.target[step.value]!));
  }
  return found;
}

function productOf(model: Model, edges: number[], end: number): Float64Array | null {
  if (model.size(end) !== 1 || edges.length > 10_000) return null;
  let g: Float64Array | null = Float64Array.of(1);
  for (let k = edges.length - 1; k >= 0 && g; k--) {
    const local = model.local(edges[k]!);
    // Where a selecting operator left the path out, an infinite derivative further back does not count.
    if (local?.length === 1 && local[0] === 0 && g.length === 1) return new Float64Array(model.size(model.source[edges[0]!]!));
    g = model.pull(edges[k]!, g);
  }
  return g;
}

/** The derivatives along a path as factors: `2·1`; null for tensors. */
export function pathNumbers(model: Model, path: Path): string | null {
  const parts: string[] = [];
  for (const e of [...path.edges].reverse()) {
    const local = model.local(e);
    if (!model.isScalarEdge(e) || !local) return null;
    parts.push(factor(local[0]!));
  }
  return parts.length > 12 ? null : parts.join("·");
}

/** Nodes that all paths pass. */
function waists(model: Model, order: number[], end: number, edges: Set<number>): number[] {
  const forward = forwardCounts(model, order, edges);
  const backward = new Map<number, bigint>([[end, 1n]]);
  for (let k = order.length - 1; k >= 0; k--) {
    let sum = order[k] === end ? 1n : 0n;
    for (const e of model.edgesFrom(order[k]!)) if (edges.has(e)) sum += backward.get(model.target[e]!) ?? 0n;
    backward.set(order[k]!, sum);
  }
  const total = forward.get(end)!;
  return order.filter((k) => forward.get(k)! * backward.get(k)! === total);
}

/** The sum with common factors taken out: (d + e + h)·(a + b + c) = (4 + 5 + 6)·(1 + 2 + 3). */
function factored(model: Model, order: number[], end: number, edges: Set<number>): Route["factored"] {
  const stops = waists(model, order, end, edges);
  if (stops.length < 3 || stops.length > 12) return null;
  const formulas: string[] = [];
  const numbers: string[] = [];
  for (let k = 1; k < stops.length; k++) {
    const from = stops[k - 1]!;
    const to = stops[k]!;
    const ways = firstPaths(model, from, to, leading(model, to, from), FIRST + 1);
    if (ways.length > FIRST || ways.some((w) => w.product === null || w.product.length !== 1)) return null;
    const names = ways.map((w) => wayFormula(model, w));
    const values = ways.map((w) => factor(w.product![0]!));
    const sum = names.join(" + ");
    formulas.push(names.length > 1 || / [+-] |^-/.test(sum) ? `(${sum})` : sum);
    numbers.push(values.length > 1 ? `(${values.join(" + ")})` : values[0]!);
  }
  const keep = formulas.map((_, i) => i).filter((i) => formulas[i] !== "1").reverse();
  if (keep.length === 0 || formulas.every((f) => !f.includes(" + "))) return null;
  return { formula: keep.map((i) => formulas[i]).join("·"), numbers: keep.map((i) => numbers[i]).join("·") };
}

function wayFormula(model: Model, path: Path): string {
  const parts: string[] = [];
  for (const e of [...path.edges].reverse()) {
    const f = derivativeOf(model, e) || `∂${model.name(model.target[e]!)}/∂${model.name(model.source[e]!)}`;
    if (f !== "1") parts.push((f.includes(" ") || f.startsWith("-")) && path.edges.length > 1 ? `(${f})` : f);
  }
  return parts.join("·") || "1";
}
