// The graph as the page holds it: columns of typed arrays, and the values as they are now (the user may edit them).

export interface Doc {
  version: number;
  title: string;
  most: number | null;
  outputs: number[];
  count: number;
  nodes: Record<string, string>;
  edges: Record<string, string> & { dense: unknown };
  pool: string;
  seeds: Plain[][] | null;
  texts: string[];
  shapes: number[][];
  places: [string, number, string][];
  params: Params[];
  shown: Record<string, string>;
  exact: Record<string, string>;
  families: Record<string, string>;
}

export type Plain = number | string;
export type Params = Record<string, unknown>;
export interface Summary {
  min: number;
  max: number;
  mean: number;
  std: number;
  sample: Float64Array;
}

export const KINDS = ["input", "parameter", "constant", "operator", "output"] as const;
export type Kind = (typeof KINDS)[number];
const FULL = 1;
const SUMMARY = 2;
const SAMPLE = 8;

function bytes(text: string): ArrayBuffer {
  const raw = atob(text);
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out.buffer;
}

/** Whole numbers: the bytes of each, then all of them in base64. */
function whole(text: string): Int32Array {
  const raw = bytes(text.slice(1));
  return text[0] === "1" ? Int32Array.from(new Int8Array(raw)) : text[0] === "2" ? Int32Array.from(new Int16Array(raw)) : new Int32Array(raw);
}
const floats = (text: string): Float64Array => new Float64Array(bytes(text));

export function plainNumber(x: unknown): number {
  return x === "NaN" ? NaN : x === "Infinity" ? Infinity : x === "-Infinity" ? -Infinity : Number(x);
}

export interface Edited {
  values: Float64Array[];
  gradients: (Float64Array | null)[];
  local: (edge: number) => Float64Array | null;
  pull: (edge: number, g: ArrayLike<number>) => Float64Array;
}

/** Which edges belong to each node: those of node i are `list[start[i]] … list[start[i + 1] - 1]`. */
export interface Adjacency {
  start: Int32Array;
  list: Int32Array;
}

function adjacency(n: number, ends: Int32Array): Adjacency {
  const start = new Int32Array(n + 1);
  for (const v of ends) start[v + 1]!++;
  for (let i = 0; i < n; i++) start[i + 1]! += start[i]!;
  const next = start.slice();
  const list = new Int32Array(ends.length);
  for (let e = 0; e < ends.length; e++) list[next[ends[e]!]!++] = e;
  return { start, list };
}

export class Model {
  readonly n: number;
  readonly m: number;
  readonly title: string;
  readonly outputs: number[];
  readonly kind: Int32Array;
  readonly call: Int32Array;
  readonly arity: Int32Array;
  readonly nr: Int32Array;
  readonly source: Int32Array;
  readonly target: Int32Array;
  readonly argument: Int32Array;
  readonly flows: Int32Array;
  readonly incoming: Adjacency;
  readonly outgoing: Adjacency;
  readonly isOutput: Uint8Array;
  readonly seeds: Float64Array[] | null;
  readonly hasGradients: boolean;
  private readonly column: Record<string, Int32Array>;
  private readonly flags: Int32Array;
  private readonly held: Int32Array;
  private readonly gradientHeld: Int32Array;
  private readonly pool: Float64Array;
  private readonly knownLocal: Int32Array;
  private readonly givenLocal: Float64Array;
  private readonly dense: Map<number, Float64Array>;
  /** Set while an edit is shown: everything computed anew. */
  edit: Edited | null = null;
  /** Reverse mode through an edge at Python's values, by the page's own operators; null where it has none. */
  fallback: (edge: number, g: ArrayLike<number>) => Float64Array | null = () => null;

  constructor(readonly doc: Doc) {
    this.n = doc.count;
    this.title = doc.title;
    this.outputs = doc.outputs;
    const nodes = doc.nodes;
    this.kind = whole(nodes.kind!);
    this.flags = whole(nodes.flags!);
    this.held = whole(nodes.held!);
    this.gradientHeld = whole(nodes.gradient_held!);
    this.column = {};
    for (const key of ["name", "operator", "module", "shape", "dtype", "place", "params", "at", "gradient_at"]) {
      this.column[key] = whole(nodes[key]!);
    }
    this.call = whole(nodes.call!);
    this.arity = whole(nodes.arity!);
    this.nr = whole(nodes.nr!);
    this.pool = floats(doc.pool);
    this.source = whole(doc.edges.source!);
    this.target = whole(doc.edges.target!);
    this.argument = whole(doc.edges.argument!);
    this.flows = whole(doc.edges.flows!);
    this.knownLocal = whole(doc.edges.known!);
    this.givenLocal = floats(doc.edges.local!);
    this.column.rule = whole(doc.edges.rule!);
    this.dense = new Map();
    for (const [e, numbers] of Object.entries(doc.edges.dense as Record<string, Plain[]>)) {
      this.dense.set(Number(e), Float64Array.from(numbers, plainNumber));
    }
    this.m = this.source.length;
    this.incoming = adjacency(this.n, this.target);
    this.outgoing = adjacency(this.n, this.source);
    this.isOutput = new Uint8Array(this.n);
    for (const k of doc.outputs) this.isOutput[k] = 1;
    this.seeds = doc.seeds === null ? null : doc.seeds.map((s) => Float64Array.from(s, plainNumber));
    this.hasGradients = this.gradientHeld.some((x) => x !== 0);
  }

  name(i: number): string {
    return this.doc.texts[this.column.name![i]!]!;
  }
  /** With the number of the output in brackets, where the operator has several: `split[1]`. */
  operator(i: number): string {
    return this.doc.texts[this.column.operator![i]!]!;
  }
  module(i: number): string {
    return this.doc.texts[this.column.module![i]!]!;
  }
  moduleKey(i: number): number {
    return this.column.module![i]!;
  }
  operatorKey(i: number): number {
    return this.column.operator![i]!;
  }
  placeKey(i: number): number {
    return this.column.place![i]!;
  }
  dtype(i: number): string {
    return this.doc.texts[this.column.dtype![i]!]!;
  }
  shape(i: number): number[] | null {
    const k = this.column.shape![i]!;
    return k < 0 ? null : this.doc.shapes[k]!;
  }
  size(i: number): number {
    const shape = this.shape(i);
    return shape === null ? 0 : shape.reduce((a, b) => a * b, 1);
  }
  params(i: number): Params {
    const k = this.column.params![i]!;
    return k < 0 ? {} : this.doc.params[k]!;
  }
  /** [file, line, text of the line], or null. */
  place(i: number): [string, number, string] | null {
    const k = this.column.place![i]!;
    return k < 0 ? null : this.doc.places[k]!;
  }
  kindOf(i: number): Kind {
    return KINDS[this.kind[i]!]!;
  }
  family(i: number): string {
    return this.doc.families[this.operator(i)] ?? "";
  }
  requiresGrad(i: number): boolean {
    return (this.flags[i]! & 1) !== 0;
  }
  /** A Python number as an operand: it takes the other operand's dtype. */
  isWeak(i: number): boolean {
    return (this.flags[i]! & 2) !== 0;
  }
  isLeaf(i: number): boolean {
    return this.call[i]! < 0;
  }
  rule(edge: number): string {
    const k = this.column.rule![edge]!;
    return k < 0 ? "" : this.doc.texts[k]!;
  }

  /** All elements of a value, or null where the page does not hold them. */
  value(i: number): Float64Array | null {
    if (this.edit) return this.edit.values[i]!;
    if (this.held[i] !== FULL) return null;
    const at = this.column.at![i]!;
    return this.pool.subarray(at, at + this.size(i));
  }
  gradient(i: number): Float64Array | null {
    if (this.edit) return this.edit.gradients[i]!;
    if (this.gradientHeld[i] !== FULL) return null;
    const at = this.column.gradient_at![i]!;
    return this.pool.subarray(at, at + this.size(i));
  }
  summary(i: number, gradient = false): Summary | null {
    const held = gradient ? this.gradientHeld : this.held;
    if (this.edit || held[i] !== SUMMARY) return null;
    const at = this.column[gradient ? "gradient_at" : "at"]![i]!;
    const p = this.pool;
    return { min: p[at]!, max: p[at + 1]!, mean: p[at + 2]!, std: p[at + 3]!, sample: p.subarray(at + 4, at + 4 + SAMPLE) };
  }
  hasValue(i: number): boolean {
    return this.edit !== null || this.held[i] !== 0 || String(i) in this.doc.shown;
  }
  hasGradient(i: number): boolean {
    return this.edit ? this.edit.gradients[i] !== null : this.gradientHeld[i] !== 0;
  }
  /** The value as Python gave it, even while an edit is shown. */
  original(i: number): Float64Array | null {
    if (this.held[i] !== FULL) return null;
    const at = this.column.at![i]!;
    return this.pool.subarray(at, at + this.size(i));
  }

  /** The local derivative of an edge: target elements times source elements, row by row; null where it is not known. */
  local(edge: number): Float64Array | null {
    if (!this.flows[edge]) return null;
    if (this.edit) return this.edit.local(edge);
    if (this.knownLocal[edge]) return this.givenLocal.subarray(edge, edge + 1);
    return this.dense.get(edge) ?? null;
  }
  /** Reverse mode through one edge: what its source gets for a gradient of its target; null where it is not known. */
  pull(edge: number, g: ArrayLike<number>): Float64Array | null {
    if (this.edit) return this.edit.pull(edge, g);
    const local = this.local(edge);
    return local ? transposed(local, g) : this.fallback(edge, g);
  }
  /** Whether both ends of an edge are single numbers. */
  isScalarEdge(edge: number): boolean {
    return this.size(this.source[edge]!) === 1 && this.size(this.target[edge]!) === 1;
  }
  edgesInto(i: number): Int32Array {
    return this.incoming.list.subarray(this.incoming.start[i]!, this.incoming.start[i + 1]!);
  }
  edgesFrom(i: number): Int32Array {
    return this.outgoing.list.subarray(this.outgoing.start[i]!, this.outgoing.start[i + 1]!);
  }
}

/** The transpose of a Jacobian times a gradient. */
function transposed(local: Float64Array, g: ArrayLike<number>): Float64Array {
  const columns = g.length ? local.length / g.length : 0;
  const out = new Float64Array(columns);
  for (let i = 0; i < g.length; i++) {
    for (let j = 0; j < columns; j++) {
      const d = local[i * columns + j]!;
      if (d !== 0) out[j]! += d * g[i]!;
    }
  }
  return out;
}
