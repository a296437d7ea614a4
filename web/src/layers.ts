// One level of a drawing: boxes in columns from left to right, in an order with few crossings, on straight lines.
//
// Sugiyama's steps as in chainrule.graphs.layout: layers by longest path, bounded barycentre sweeps, then positions by
// least squares that keep the order (pool adjacent violators). Deterministic, no recursion.

export interface LevelInput {
  n: number;
  width: Float64Array;
  /** Room above and below a box's centre line. */
  above: Float64Array;
  below: Float64Array;
  /** Boxes that stand on the left (1) or right (2) border: where edges enter and leave. */
  border: Uint8Array;
  from: Int32Array;
  to: Int32Array;
  /** Where an edge leaves and arrives, off the centre line. */
  fromAt: Float64Array;
  toAt: Float64Array;
  /** Room for the label of each edge; 0 without one. */
  label: Float64Array;
  /** The part of a box's side over which arriving edges are spread; 0 where `toAt` says where. */
  span: Float64Array;
  /** Boxes side by side rather than edges without a bend: many open boxes in a row would climb like stairs. */
  level: boolean;
  /** From a box's centre to its outline, so far off the centre line. */
  reach: (v: number, off: number) => number;
}

export interface LevelOutput {
  x: Float64Array;
  y: Float64Array;
  width: number;
  top: number;
  bottom: number;
  /** Per edge a start point and triples of Bézier points, flat. */
  curves: Float64Array[];
  /** Per edge the middle of its label, or null. */
  labels: ([number, number] | null)[];
}

const GAP = 30; // between columns
const BESIDE = 14; // between boxes of a column
const LINES = 11; // between edges of a column
const LABEL_LINE = 17;
const PER_NODE = 6;
const ANYWAY = 6000; // stand-ins that a drawing may have; longer edges go straight

function ranks(input: LevelInput, order: Int32Array, into: number[][], outOf: number[][]): Int32Array {
  const { n, border, from, to } = input;
  const rank = new Int32Array(n);
  for (const v of order) for (const e of into[v]!) rank[v] = Math.max(rank[v]!, rank[from[e]!]! + 1);
  for (let k = n - 1; k >= 0; k--) {
    const u = order[k]!;
    if (!outOf[u]!.length) continue;
    let least = Infinity;
    for (const e of outOf[u]!) least = Math.min(least, rank[to[e]!]!);
    rank[u] = least - 1;
  }
  for (const v of order) {
    if (into[v]!.length <= outOf[v]!.length) continue;
    let most = -Infinity;
    for (const e of into[v]!) most = Math.max(most, rank[from[e]!]!);
    rank[v] = most + 1;
  }
  let low = 0;
  for (let v = 0; v < n; v++) if (border[v] !== 1) low = Math.min(low, rank[v]!);
  let high = 0;
  let entered = false;
  for (let v = 0; v < n; v++) {
    entered ||= border[v] === 1;
    rank[v]! -= low;
    if (!border[v]) high = Math.max(high, rank[v]!);
  }
  for (let v = 0; v < n; v++) {
    if (border[v] === 1) rank[v] = 0;
    else if (entered) rank[v]! += 1;
    if (border[v] === 2) rank[v] = high + (entered ? 2 : 1);
  }
  return rank;
}

/** An order in which every edge goes forward. */
function topological(n: number, from: Int32Array, to: Int32Array, outOf: number[][]): Int32Array {
  const waiting = new Int32Array(n);
  for (const v of to) waiting[v]!++;
  const order = new Int32Array(n);
  let filled = 0;
  for (let v = 0; v < n; v++) if (!waiting[v]) order[filled++] = v;
  for (let k = 0; k < filled; k++) {
    for (const e of outOf[order[k]!]!) if (--waiting[to[e]!]! === 0) order[filled++] = to[e]!;
  }
  if (filled < n) throw new Error(`a cycle among ${from.length} edges`);
  return order;
}

class Items {
  rank: number[];
  above: number[];
  below: number[];
  width: number[];
  up: number[][] = [];
  down: number[][] = [];
  upAt: number[][] = [];
  downAt: number[][] = [];

  constructor(input: LevelInput, rank: Int32Array) {
    this.rank = Array.from(rank);
    this.above = Array.from(input.above, (x) => x + BESIDE / 2);
    this.below = Array.from(input.below, (x) => x + BESIDE / 2);
    this.width = Array.from(input.width);
    for (let v = 0; v < input.n; v++) this.room();
  }

  private room(): void {
    this.up.push([]);
    this.down.push([]);
    this.upAt.push([]);
    this.downAt.push([]);
  }

  stand(rank: number, label: number): number {
    this.rank.push(rank);
    this.above.push(label ? LABEL_LINE : LINES / 2);
    this.below.push(LINES / 2);
    this.width.push(label);
    this.room();
    return this.rank.length - 1;
  }

  join(a: number, b: number, offA: number, offB: number): void {
    this.down[a]!.push(b);
    this.up[b]!.push(a);
    this.downAt[a]!.push(offA - offB);
    this.upAt[b]!.push(offA - offB);
  }
}

export function layLevel(input: LevelInput): LevelOutput {
  const { n, from, to, fromAt, toAt, label } = input;
  const m = from.length;
  const into: number[][] = Array.from({ length: n }, () => []);
  const outOf: number[][] = Array.from({ length: n }, () => []);
  for (let e = 0; e < m; e++) {
    into[to[e]!]!.push(e);
    outOf[from[e]!]!.push(e);
  }
  const rank = ranks(input, topological(n, from, to, outOf), into, outOf);
  const labelled = label.some((w) => w > 0);
  if (labelled) for (let v = 0; v < n; v++) rank[v]! *= 2;

  // Stand-ins: edges that leave a box at one place share a chain of them.
  const items = new Items(input, rank);
  const chains: (number[] | null)[] = [];
  const trunks = new Map<number, Map<number, number[]>>();
  const labelItem = new Int32Array(m).fill(-1);
  const byLength = Int32Array.from({ length: m }, (_, e) => e).sort((a, b) => rank[to[a]!]! - rank[from[a]!]! - (rank[to[b]!]! - rank[from[b]!]!) || a - b);
  const limit = PER_NODE * n + ANYWAY;
  const join = (a: number, b: number, fromA: number, toB: number): void => {
    const offA = input.level ? 0 : fromA;
    const offB = input.level ? 0 : toB;
    // Two boxes are joined once where two edges run beside each other.
    const known = items.down[a]!.indexOf(b);
    if (known < 0 || items.downAt[a]![known] !== offA - offB) items.join(a, b, offA, offB);
  };
  for (const e of byLength) {
    const a = from[e]!;
    const b = to[e]!;
    let leaving = trunks.get(a);
    if (leaving === undefined) trunks.set(a, (leaving = new Map<number, number[]>()));
    let trunk = leaving.get(fromAt[e]!);
    if (trunk === undefined) leaving.set(fromAt[e]!, (trunk = []));
    const need = rank[b]! - rank[a]! - 1;
    const own = label[e]! > 0 ? 1 : 0;
    if (items.rank.length + need - own - trunk.length > limit) {
      chains[e] = null;
      continue;
    }
    while (trunk.length < need - own) {
      const made = items.stand(rank[a]! + trunk.length + 1, 0);
      const before = trunk.length ? trunk[trunk.length - 1]! : a;
      join(before, made, trunk.length ? 0 : fromAt[e]!, 0);
      trunk.push(made);
    }
    const chain = trunk.slice(0, need - own);
    if (own) {
      const made = items.stand(rank[b]! - 1, label[e]!);
      labelItem[e] = made;
      join(chain.length ? chain[chain.length - 1]! : a, made, chain.length ? 0 : fromAt[e]!, 0);
      chain.push(made);
    }
    join(chain.length ? chain[chain.length - 1]! : a, b, chain.length ? 0 : fromAt[e]!, toAt[e]!);
    chains[e] = chain;
  }

  const columns = order(items);
  const y = straighten(items, columns);

  // Columns from left to right.
  const wide = columns.map((column) => column.reduce((w, v) => Math.max(w, items.width[v]!), 0));
  const left: number[] = [];
  const centre: number[] = [];
  let at = 0;
  for (let r = 0; r < columns.length; r++) {
    left.push(at);
    centre.push(at + wide[r]! / 2);
    at += wide[r]! + (labelled ? 17 : GAP);
  }
  const width = columns.length ? left[left.length - 1]! + wide[wide.length - 1]! : 0;
  const x = new Float64Array(n);
  let top = Infinity;
  let bottom = -Infinity;
  for (let v = 0; v < n; v++) x[v] = centre[rank[v]!]!;
  for (let v = 0; v < items.rank.length; v++) {
    top = Math.min(top, y[v]! - items.above[v]! + (v < n ? BESIDE / 2 : 0));
    bottom = Math.max(bottom, y[v]! + items.below[v]! - (v < n ? BESIDE / 2 : 0));
  }

  // Edges that arrive at one box: beside each other, in the order in which they come.
  const arrive = toAt.slice();
  for (let v = 0; v < n; v++) {
    const edges = into[v]!;
    if (edges.length < 2 || !input.span[v]) continue;
    const origin = (e: number): number => (chains[e]?.length ? y[chains[e]!.at(-1)!]! : y[from[e]!]! + fromAt[e]!);
    edges.sort((a, b) => origin(a) - origin(b) || a - b);
    const step = Math.min(9, input.span[v]! / (edges.length - 1));
    edges.forEach((e, k) => (arrive[e] = (k - (edges.length - 1) / 2) * step));
  }

  const curves: Float64Array[] = [];
  const labels: ([number, number] | null)[] = [];
  for (let e = 0; e < m; e++) {
    const a = from[e]!;
    const b = to[e]!;
    const points: number[] = [x[a]! + input.reach(a, fromAt[e]!), y[a]! + fromAt[e]!];
    const bend = (tx: number, ty: number): void => {
      const px = points[points.length - 2]!;
      const py = points[points.length - 1]!;
      const mid = (px + tx) / 2;
      points.push(mid, py, mid, ty, tx, ty);
    };
    const level = (tx: number): void => {
      const px = points[points.length - 2]!;
      const py = points[points.length - 1]!;
      if (tx > px + 0.1) points.push(px + (tx - px) / 3, py, px + ((tx - px) * 2) / 3, py, tx, py);
    };
    level(left[rank[a]!]! + wide[rank[a]!]!);
    for (const item of chains[e] ?? []) {
      const r = items.rank[item]!;
      bend(left[r]!, y[item]!);
      level(left[r]! + wide[r]!);
    }
    bend(Math.max(left[rank[b]!]!, points.at(-2)!), y[b]! + arrive[e]!);
    level(x[b]! - input.reach(b, arrive[e]!));
    curves.push(Float64Array.from(points));
    const own = labelItem[e]!;
    labels.push(own < 0 ? null : [centre[items.rank[own]!]!, y[own]!]);
  }
  return { x, y: y.subarray(0, n), width, top: n ? top : 0, bottom: n ? bottom : 0, curves, labels };
}

/** The items of each column, ordered so that few edges cross. */
function order(items: Items): number[][] {
  const count = items.rank.reduce((high, r) => Math.max(high, r + 1), 0);
  const columns: number[][] = Array.from({ length: count }, () => []);
  // To begin with in the order in which a walk from the first box finds them: chains stay together.
  const seen = new Uint8Array(items.rank.length);
  for (let v = 0; v < items.rank.length; v++) {
    if (seen[v] || items.up[v]!.length) continue;
    const stack = [v];
    while (stack.length) {
      const u = stack.pop()!;
      if (seen[u]) continue;
      seen[u] = 1;
      columns[items.rank[u]!]!.push(u);
      for (let k = items.down[u]!.length - 1; k >= 0; k--) stack.push(items.down[u]![k]!);
    }
  }
  const place = new Float64Array(items.rank.length);
  const number = (column: number[]): void => column.forEach((v, k) => (place[v] = k));
  columns.forEach(number);
  const edges = items.down.reduce((sum, d) => sum + d.length, 0);
  const sweeps = edges > 30_000 ? 4 : edges > 5000 ? 8 : 16;
  let best = columns.map((c) => c.slice());
  let fewest = crossings(columns, items, place);
  const key = new Float64Array(items.rank.length);
  let idle = 0;
  for (let sweep = 0; sweep < sweeps && fewest > 0 && idle < 4; sweep++) {
    const down = sweep % 2 === 0;
    for (let k = 0; k < count; k++) {
      const column = columns[down ? k : count - 1 - k]!;
      if (column.length < 2) continue;
      const near = down ? items.up : items.down;
      const off = down ? items.upAt : items.downAt;
      for (const v of column) {
        const list = near[v]!;
        let sum = 0;
        // Where a box is entered at several places, the place within it counts, too.
        for (let j = 0; j < list.length; j++) sum += place[list[j]!]! + (down ? 1e-4 : -1e-4) * off[v]![j]!;
        key[v] = list.length ? sum / list.length : place[v]!;
      }
      column.sort((a, b) => key[a]! - key[b]! || place[a]! - place[b]!);
      number(column);
    }
    const now = crossings(columns, items, place);
    idle++;
    if (now < fewest) {
      idle = 0;
      fewest = now;
      best = columns.map((c) => c.slice());
    }
  }
  return best;
}

/** How many edges cross, by a Fenwick tree over the places in the next column. */
function crossings(columns: number[][], items: Items, place: Float64Array): number {
  let total = 0;
  let tree = new Int32Array(64);
  let ends = new Int32Array(64);
  for (let r = 0; r + 1 < columns.length; r++) {
    const column = columns[r]!;
    const size = columns[r + 1]!.length;
    if (size < 2 || column.length < 2) continue;
    if (tree.length <= size) tree = new Int32Array(2 * size + 1);
    else tree.fill(0, 0, size + 1);
    let met = 0;
    for (let i = 0; i < column.length; i++) {
      const near = items.down[column[i]!]!;
      const count = near.length;
      if (ends.length < count) ends = new Int32Array(2 * count);
      for (let k = 0; k < count; k++) ends[k] = place[near[k]!]!;
      for (let j = 0; j < count; j++) {
        let upTo = 0;
        for (let k = ends[j]! + 1; k > 0; k -= k & -k) upTo += tree[k]!;
        total += met - upTo;
      }
      met += count;
      for (let j = 0; j < count; j++) for (let k = ends[j]! + 1; k <= size; k += k & -k) tree[k]!++;
    }
  }
  return total;
}

const UP = [1];
const DOWN = [-1];
const BOTH = [1, -1];

/** Heights: each item near the mean of its neighbours, in order and with room between. */
function straighten(items: Items, columns: number[][]): Float64Array {
  const total = items.rank.length;
  const y = new Float64Array(total);
  // Lines without a box on them are kept straight before all else.
  const stand = Uint8Array.from({ length: total }, (_, v) => Number(items.width[v] === 0 && items.up[v]!.length === 1));
  const widest = columns.reduce((n, c) => Math.max(n, c.length), 0);
  const at = new Float64Array(widest);
  const force = new Float64Array(widest);
  for (const column of columns) {
    let end = 0;
    for (const v of column) {
      y[v] = end + items.above[v]!;
      end = y[v]! + items.below[v]!;
    }
    for (const v of column) y[v]! -= end / 2;
  }
  const sweeps = total > 20_000 ? 6 : 14;
  for (let sweep = 0; sweep < sweeps; sweep++) {
    const down = sweep % 2 === 0;
    const both = sweep >= sweeps - 4;
    for (let k = 0; k < columns.length; k++) {
      const column = columns[down ? k : columns.length - 1 - k]!;
      for (let i = 0; i < column.length; i++) {
        const v = column[i]!;
        let sum = 0;
        let weight = 0;
        for (const side of down ? (both ? BOTH : UP) : both ? BOTH : DOWN) {
          const list = side > 0 ? items.up[v]! : items.down[v]!;
          const off = side > 0 ? items.upAt[v]! : items.downAt[v]!;
          for (let j = 0; j < list.length; j++) {
            const w = stand[v]! + stand[list[j]!]!;
            const pull = w === 2 ? 8 : w === 1 ? 2 : 1;
            sum += pull * (y[list[j]!]! + side * off[j]!);
            weight += pull;
          }
        }
        at[i] = weight ? sum / weight : y[v]!;
        force[i] = weight || 0.1;
      }
      pool(column, at, force, items, y);
    }
  }
  return y;
}

/** Least squares with a given order and least distances: blocks that would overlap move as one. */
function pool(column: number[], at: Float64Array, force: Float64Array, items: Items, y: Float64Array): void {
  const start: number[] = [];
  const mean: number[] = [];
  const weight: number[] = [];
  const shift: number[] = [];
  let room = 0;
  for (let k = 0; k < column.length; k++) {
    const v = column[k]!;
    if (k) room += items.below[column[k - 1]!]! + items.above[v]!;
    shift.push(room);
    start.push(k);
    mean.push(at[k]! - room);
    weight.push(force[k]!);
    while (mean.length > 1 && mean[mean.length - 2]! > mean[mean.length - 1]!) {
      const w = weight.pop()!;
      const x = mean.pop()!;
      start.pop();
      const j = mean.length - 1;
      mean[j] = (mean[j]! * weight[j]! + x * w) / (weight[j]! + w);
      weight[j]! += w;
    }
  }
  for (let b = 0; b < start.length; b++) {
    const end = b + 1 < start.length ? start[b + 1]! : column.length;
    for (let k = start[b]!; k < end; k++) y[column[k]!] = mean[b]! + shift[k]!;
  }
}
