// What an operator computes, and its derivative, as formulas with the names of the graph's values.
import type { Model } from "./model";

const SIGNS: Record<string, string> = {
  add: " + ", sub: " - ", mul: "·", div: " / ", pow: "^", matmul: " @ ", mv: " @ ", mm: " @ ", bmm: " @ ", dot: " @ ",
  gt: " > ", lt: " < ", ge: " ≥ ", le: " ≤ ", eq: " = ", ne: " ≠ ",
};

/** The nodes that a call reads, in the order of its arguments; null for one that was not given. */
export function argumentsOf(model: Model, node: number): (number | null)[] {
  const out: (number | null)[] = new Array<number | null>(model.arity[node]!).fill(null);
  for (const e of model.edgesInto(node)) out[model.argument[e]!] = model.source[e]!;
  return out;
}

/** The call that made a node with its arguments' names (or values): `a + b`, `tanh(x)`. */
export function formula(model: Model, node: number, names: string[]): string {
  const operator = model.operator(node);
  const sign = SIGNS[operator];
  if (sign !== undefined && names.length === 2) return `${names[0]}${sign}${names[1]}`;
  if (operator === "neg" && names.length === 1) return `-${names[0]}`;
  if (operator === "square" && names.length === 1) return `${names[0]}²`;
  return `${operator}(${names.map((n) => (n.startsWith("(-") ? n.slice(1, -1) : n)).join(", ")})`;
}

const LETTERS = "abcdefghijklmnopqrstuvwxyz";

/** The local derivative of an edge with the names of the values in it, or "" where it cannot be written so. */
export function derivativeOf(model: Model, edge: number): string {
  const rule = model.rule(edge);
  const found = /^∂.*?\/∂(\w+) = (.*?)(?:, y = .*)?$/s.exec(rule);
  if (!found) return "";
  const node = model.target[edge]!;
  const given = argumentsOf(model, node);
  const names = new Map<string, string>();
  given.forEach((k, i) => {
    const letter = given.length === 1 ? "x" : (LETTERS[i] ?? `x${i}`);
    const name = k === null ? "?" : model.name(k);
    names.set(letter, /^[\p{L}\p{N}_.]+$/u.test(name) ? name : `(${name})`);
  });
  if (!names.has("y")) names.set("y", model.name(node));
  const text = found[2]!.replace(/\b[a-z]\d*\b/g, (word) => names.get(word) ?? word);
  return text.length <= 120 ? text : "";
}
