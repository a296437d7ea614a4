// Draws a scene with a pen: a canvas on the screen, SVG text for print and export. What is far away is drawn simply.
import { LINE, NAME, SMALL, type Arrow, type Bounds, type Box, type Scene } from "./scene";
import type { Palette } from "./theme";

/** What is used of a canvas's context. */
export type Pen = Pick<
  CanvasRenderingContext2D,
  | "beginPath" | "moveTo" | "lineTo" | "bezierCurveTo" | "ellipse" | "rect" | "closePath" | "fill" | "stroke" | "fillText"
  | "setLineDash" | "fillStyle" | "strokeStyle" | "lineWidth" | "font" | "textAlign" | "globalAlpha"
>;

export interface Look {
  value: string;
  gradient: string;
  fill: [string, string] | null;
  dim: boolean;
  ring: string;
}

export interface ArrowLook {
  colour: string;
  width: number;
  label: string;
  dim: boolean;
}

export interface Style {
  palette: Palette;
  look: (box: Box) => Look;
  arrow: (arrow: Arrow) => ArrowLook | null; // null: as most are
  plainLabel: (arrow: Arrow) => string;
  dimArrows: boolean;
}

export const FAMILY = '"Helvetica Neue",Arial,"DejaVu Sans",sans-serif';
const TIP = 7;
const READABLE = 5.5; // pixels of a letter's height below which texts are left out

export function draw(pen: Pen, scene: Scene, style: Style, view: Bounds, zoom: number): void {
  const { palette } = style;
  frames(pen, scene, palette, view, zoom);
  arrows(pen, scene, style, view, zoom);
  const near = scene.boxes.filter((b) => inView(b, view));
  if (zoom < 0.16 && near.length > 300) {
    specks(pen, near, style, zoom);
  } else {
    for (const box of near) boxAt(pen, box, style, zoom);
  }
  if (SMALL * zoom < READABLE) farTitles(pen, scene, palette, view, zoom);
}

/** From afar the names of open boxes are drawn large, over what is in them: of the innermost with room for it. */
function farTitles(pen: Pen, scene: Scene, palette: Palette, v: Bounds, zoom: number): void {
  const fits = scene.frames.filter((f) => {
    const seen = f.left < v.right && f.left + f.width > v.left && f.top < v.bottom && f.top + f.height > v.top;
    return seen && f.height * zoom > 12 && f.width * zoom > 7 * scene.relative(f.group.item).length + 8;
  });
  const around = new Set<number>();
  for (const f of fits) for (let g = scene.tree.parent[f.group.item]!; g >= 0 && !around.has(g); g = scene.tree.parent[g]!) around.add(g);
  pen.textAlign = "center";
  pen.font = `600 ${11 / zoom}px ${FAMILY}`;
  for (const f of fits) {
    if (around.has(f.group.item)) continue;
    const text = scene.relative(f.group.item);
    const x = f.left + f.width / 2;
    const y = f.top + f.height / 2;
    const w = (6.6 * text.length + 10) / zoom;
    pen.globalAlpha = 0.85;
    pen.fillStyle = palette.ground;
    pen.beginPath();
    rounded(pen, x - w / 2, y - 8 / zoom, w, 16 / zoom, 4 / zoom);
    pen.fill();
    pen.globalAlpha = 1;
    pen.fillStyle = palette.kinds.module[1];
    pen.fillText(text, x, y + 4 / zoom);
  }
}

function inView(box: Box, v: Bounds): boolean {
  const w = Math.max(box.width / 2, 100);
  return box.x + w > v.left && box.x - w < v.right && box.y + 60 > v.top && box.y - 60 < v.bottom;
}

function frames(pen: Pen, scene: Scene, palette: Palette, v: Bounds, zoom: number): void {
  for (const f of scene.frames) {
    if (f.left > v.right || f.left + f.width < v.left || f.top > v.bottom || f.top + f.height < v.top) continue;
    pen.beginPath();
    rounded(pen, f.left, f.top, f.width, f.height, 9);
    pen.fillStyle = palette.frame;
    pen.fill();
    pen.strokeStyle = palette.frameLine;
    pen.lineWidth = 1;
    pen.stroke();
    if (SMALL * zoom < READABLE) continue;
    pen.fillStyle = palette.kinds.module[1];
    pen.font = `600 ${SMALL}px ${FAMILY}`;
    pen.textAlign = "left";
    pen.fillText(`▾ ${fit(scene.relative(f.group.item), f.width - 20)}`, f.left + 9, f.top + 16);
  }
}

function fit(text: string, width: number): string {
  const most = Math.max(3, Math.floor(width / 6.6));
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function arrows(pen: Pen, scene: Scene, style: Style, v: Bounds, zoom: number): void {
  const plain = new Set<number>();
  const special: [Arrow, ArrowLook][] = [];
  const drawnLater = new Set<number>();
  for (const a of scene.arrows) {
    const look = style.arrow(a);
    if (look) special.push([a, look]);
    else for (const s of a.segments) plain.add(s);
  }
  for (const [a] of special) for (const s of a.segments) drawnLater.add(s);
  const simple = zoom < 0.16;
  pen.globalAlpha = style.dimArrows ? 0.3 : 1;
  pen.strokeStyle = style.palette.edge;
  pen.lineWidth = simple ? Math.min(1.2, 0.6 / zoom) : 1.2;
  pen.beginPath();
  const heads: Float64Array[] = [];
  for (const s of plain) {
    if (drawnLater.has(s)) continue;
    const { curve, head } = scene.segments[s]!;
    if (!touches(curve, v)) continue;
    trace(pen, curve, head, simple);
    if (head) heads.push(curve);
  }
  pen.stroke();
  if (zoom > 0.25) tips(pen, heads, style.palette.edge);
  for (const [a, look] of special.sort((x, y) => x[1].width - y[1].width)) {
    pen.globalAlpha = look.dim ? 0.3 : 1;
    pen.strokeStyle = look.colour;
    pen.lineWidth = look.width;
    pen.beginPath();
    for (const s of a.segments) trace(pen, scene.segments[s]!.curve, scene.segments[s]!.head, simple);
    pen.stroke();
    tips(pen, a.segments.filter((s) => scene.segments[s]!.head).map((s) => scene.segments[s]!.curve), look.colour);
  }
  pen.globalAlpha = 1;
  if (SMALL * zoom < READABLE) return;
  pen.font = `${SMALL}px ${FAMILY}`;
  pen.textAlign = "center";
  const chosen = new Map(special);
  for (const a of scene.arrows) {
    if (!a.label) continue;
    const [x, y] = a.label;
    if (x < v.left - 60 || x > v.right + 60 || y < v.top - 20 || y > v.bottom + 20) continue;
    const look = chosen.get(a);
    const text = look ? look.label : style.plainLabel(a);
    if (!text) continue;
    pen.globalAlpha = look?.dim || (!look && style.dimArrows) ? 0.35 : 1;
    pen.fillStyle = look && look.width > 1.5 ? look.colour : style.palette.local;
    pen.fillText(text, x, y - 4);
  }
  pen.globalAlpha = 1;
}

function touches(c: Float64Array, v: Bounds): boolean {
  const n = c.length;
  if (n < 4) return false;
  if (Math.max(c[0]!, c[n - 2]!) < v.left || Math.min(c[0]!, c[n - 2]!) > v.right) return false;
  let low = Infinity;
  let high = -Infinity;
  for (let i = 1; i < n; i += 2) {
    if (c[i]! < low) low = c[i]!;
    if (c[i]! > high) high = c[i]!;
  }
  return high >= v.top && low <= v.bottom;
}

function trace(pen: Pen, c: Float64Array, head: boolean, simple: boolean): void {
  pen.moveTo(c[0]!, c[1]!);
  const end = c.length - 2;
  for (let i = 2; i < c.length; i += 6) {
    const last = i + 4 === end;
    const x = c[i + 4]! - (last && head ? TIP / 2 : 0);
    if (simple || c[i + 1] === c[i + 5]) {
      if (simple && !last && c[i + 1] === c[i + 5] && c[i - 1] === c[i + 5]) continue;
      pen.lineTo(x, c[i + 5]!);
    } else {
      pen.bezierCurveTo(c[i]!, c[i + 1]!, c[i + 2]!, c[i + 3]!, x, c[i + 5]!);
    }
  }
}

function tips(pen: Pen, curves: Float64Array[], colour: string): void {
  pen.fillStyle = colour;
  pen.beginPath();
  for (const c of curves) {
    const x = c[c.length - 2]!;
    const y = c[c.length - 1]!;
    pen.moveTo(x, y);
    pen.lineTo(x - TIP, y - 3.4);
    pen.lineTo(x - TIP, y + 3.4);
    pen.closePath();
  }
  pen.fill();
}

function rounded(pen: Pen, x: number, y: number, w: number, h: number, r: number): void {
  const k = r * 0.4477;
  pen.moveTo(x + r, y);
  pen.lineTo(x + w - r, y);
  pen.bezierCurveTo(x + w - k, y, x + w, y + k, x + w, y + r);
  pen.lineTo(x + w, y + h - r);
  pen.bezierCurveTo(x + w, y + h - k, x + w - k, y + h, x + w - r, y + h);
  pen.lineTo(x + r, y + h);
  pen.bezierCurveTo(x + k, y + h, x, y + h - k, x, y + h - r);
  pen.lineTo(x, y + r);
  pen.bezierCurveTo(x, y + k, x + k, y, x + r, y);
  pen.closePath();
}

/** The outline of a box, `out` wider on every side; the same shapes as in the SVG pictures. */
export function outline(pen: Pen, box: Pick<Box, "kind" | "x" | "y" | "width" | "height">, out = 0): void {
  const w = box.width / 2 + out;
  const h = box.height / 2 + out;
  const { x, y } = box;
  switch (box.kind) {
    case "operator":
    case "output":
      pen.moveTo(x + w, y);
      pen.ellipse(x, y, w, h, 0, 0, 2 * Math.PI);
      break;
    case "parameter": {
      const cut = Math.min((2 * h) / 3, w / 2);
      pen.moveTo(x - w, y);
      pen.lineTo(x - w + cut, y - h);
      pen.lineTo(x + w - cut, y - h);
      pen.lineTo(x + w, y);
      pen.lineTo(x + w - cut, y + h);
      pen.lineTo(x - w + cut, y + h);
      pen.closePath();
      break;
    }
    case "input":
      rounded(pen, x - w, y - h, 2 * w, 2 * h, 7);
      break;
    default:
      pen.rect(x - w, y - h, 2 * w, 2 * h);
  }
}

function details(pen: Pen, box: Pick<Box, "kind" | "x" | "y" | "width" | "height">): void {
  const { x, y, width, height } = box;
  if (box.kind === "output") {
    const ring = Math.min(3.5, height / 6);
    pen.beginPath();
    pen.moveTo(x + width / 2 - ring, y);
    pen.ellipse(x, y, width / 2 - ring, height / 2 - ring, 0, 0, 2 * Math.PI);
    pen.stroke();
  } else if (box.kind === "module") {
    pen.beginPath();
    for (const side of [-1, 1]) {
      pen.moveTo(x + side * (width / 2 - 5), y - height / 2);
      pen.lineTo(x + side * (width / 2 - 5), y + height / 2);
    }
    pen.stroke();
  }
}

export function shape(pen: Pen, box: Pick<Box, "kind" | "x" | "y" | "width" | "height">, palette: Palette, fill: string | null): void {
  const [own, line] = palette.kinds[box.kind];
  pen.beginPath();
  outline(pen, box);
  pen.fillStyle = fill ?? own;
  pen.fill();
  pen.strokeStyle = line;
  pen.lineWidth = 1.4;
  if (box.kind === "constant") pen.setLineDash([4, 3]);
  pen.stroke();
  pen.setLineDash([]);
  details(pen, box);
}

function boxAt(pen: Pen, box: Box, style: Style, zoom: number): void {
  const { palette } = style;
  const look = style.look(box);
  pen.globalAlpha = look.dim ? 0.32 : 1;
  if (look.ring) {
    pen.beginPath();
    outline(pen, box, 3.5);
    pen.strokeStyle = look.ring;
    pen.lineWidth = Math.max(2, 1.5 / zoom);
    pen.stroke();
  }
  shape(pen, box, palette, look.fill ? look.fill[0] : null);
  pen.textAlign = "center";
  if (NAME * zoom >= READABLE) {
    pen.font = `${NAME}px ${FAMILY}`;
    pen.fillStyle = look.fill ? look.fill[1] : palette.ink;
    pen.fillText(box.inside, box.x, box.y + 0.35 * NAME);
  }
  if (SMALL * zoom >= READABLE) {
    const half = box.height / 2;
    if (look.value) {
      pen.font = `${SMALL}px ${FAMILY}`;
      pen.fillStyle = palette.value;
      pen.fillText(look.value, box.x, box.y - half - 7);
    }
    if (look.gradient) {
      pen.font = `italic ${SMALL}px ${FAMILY}`;
      pen.fillStyle = palette.gradient;
      pen.fillText(look.gradient, box.x, box.y + half + LINE - 2);
    }
  }
  pen.globalAlpha = 1;
}

/** Very many boxes, far away: a rectangle each, all of one colour in one go. */
function specks(pen: Pen, boxes: Box[], style: Style, zoom: number): void {
  const least = 1.6 / zoom;
  const groups = new Map<string, Box[]>();
  const rings: [Box, string][] = [];
  for (const box of boxes) {
    const look = style.look(box);
    const colour = look.fill ? look.fill[0] : box.kind === "operator" ? style.palette.edge : style.palette.kinds[box.kind][1];
    const key = `${look.dim ? 0.25 : 0.85}|${colour}`;
    (groups.get(key) ?? groups.set(key, []).get(key)!).push(box);
    if (look.ring) rings.push([box, look.ring]);
  }
  for (const [key, list] of groups) {
    const [alpha, colour] = key.split("|") as [string, string];
    pen.globalAlpha = Number(alpha);
    pen.fillStyle = colour;
    pen.beginPath();
    for (const b of list) {
      const w = Math.max(b.width, least);
      const t = Math.max(b.height, least);
      pen.rect(b.x - w / 2, b.y - t / 2, w, t);
    }
    pen.fill();
  }
  pen.globalAlpha = 1;
  for (const [b, colour] of rings) {
    const out = 4 / zoom;
    pen.beginPath();
    pen.rect(b.x - b.width / 2 - out, b.y - b.height / 2 - out, b.width + 2 * out, b.height + 2 * out);
    pen.strokeStyle = colour;
    pen.lineWidth = 2.5 / zoom;
    pen.stroke();
  }
}
