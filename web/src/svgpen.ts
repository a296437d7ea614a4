// A pen that writes SVG: for printing sharply, and to save what is on the screen.
import type { Pen } from "./draw";
import type { Bounds } from "./scene";

const xml = (s: string): string =>
  s.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd");
const n = (x: number): string => String(Math.round(x * 10) / 10);

export class SvgPen {
  private readonly parts: string[] = [];
  private d: string[] = [];
  private dash = "";
  fillStyle = "";
  strokeStyle = "";
  lineWidth = 1;
  font = "";
  textAlign: CanvasTextAlign = "left";
  globalAlpha = 1;

  beginPath(): void {
    this.d = [];
  }
  moveTo(x: number, y: number): void {
    this.d.push(`M${n(x)} ${n(y)}`);
  }
  lineTo(x: number, y: number): void {
    this.d.push(`L${n(x)} ${n(y)}`);
  }
  bezierCurveTo(a: number, b: number, c: number, d: number, x: number, y: number): void {
    this.d.push(`C${n(a)} ${n(b)} ${n(c)} ${n(d)} ${n(x)} ${n(y)}`);
  }
  ellipse(x: number, y: number, rx: number, ry: number): void {
    const arc = `A${n(rx)} ${n(ry)} 0 1 0`;
    this.d.push(`M${n(x + rx)} ${n(y)}${arc} ${n(x - rx)} ${n(y)}${arc} ${n(x + rx)} ${n(y)}Z`);
  }
  rect(x: number, y: number, w: number, h: number): void {
    this.d.push(`M${n(x)} ${n(y)}h${n(w)}v${n(h)}h${n(-w)}Z`);
  }
  closePath(): void {
    this.d.push("Z");
  }
  setLineDash(dash: number[]): void {
    this.dash = dash.join(" ");
  }
  private alpha(): string {
    return this.globalAlpha < 1 ? ` opacity="${this.globalAlpha}"` : "";
  }
  fill(): void {
    if (this.d.length) this.parts.push(`<path fill="${xml(this.fillStyle)}"${this.alpha()} d="${this.d.join("")}"/>`);
  }
  stroke(): void {
    const dash = this.dash ? ` stroke-dasharray="${this.dash}"` : "";
    if (this.d.length) {
      this.parts.push(
        `<path fill="none" stroke="${xml(this.strokeStyle)}" stroke-width="${n(this.lineWidth)}"${dash}${this.alpha()} d="${this.d.join("")}"/>`,
      );
    }
  }
  fillText(text: string, x: number, y: number): void {
    const anchor = this.textAlign === "center" ? "middle" : "start";
    this.parts.push(
      `<text x="${n(x)}" y="${n(y)}" fill="${xml(this.fillStyle)}" text-anchor="${anchor}"${this.alpha()} style="font:${xml(this.font)}">${xml(text)}</text>`,
    );
  }

  /** What was drawn, without a frame. */
  get content(): string {
    return this.parts.join("");
  }

  /** The document: what was drawn, in a frame of the scene's coordinates. */
  svg(b: Bounds, ground: string, title: string): string {
    const box = `${n(b.left)} ${n(b.top)} ${n(b.right - b.left)} ${n(b.bottom - b.top)}`;
    const [left, top, width, height] = box.split(" ");
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${box}" width="${width}" height="${height}" role="img"><title>${xml(title)}</title>` +
      `<rect x="${left}" y="${top}" width="${width}" height="${height}" fill="${ground}"/>${this.content}</svg>`
    );
  }

  /** As the functions that draw want it. */
  get pen(): Pen {
    return this as unknown as Pen;
  }
}

/** A drawing for paper, as SVG elements: one that is very wide is cut into strips, one below the other. */
export function strips(pen: SvgPen, b: Bounds, boxes: { x: number; width: number }[]): string {
  const width = b.right - b.left;
  const count = Math.min(MOST_STRIPS, Math.max(1, Math.ceil(width / STRIP - 0.25)));
  const cuts = [b.left];
  for (let k = 1; k < count; k++) cuts.push(emptiest(b.left + (k * width) / count, width / count / 4, boxes));
  cuts.push(b.right);
  const uses = cuts.slice(1).map((right, k) => {
    const left = cuts[k]!;
    return `<svg class="strip" viewBox="${n(left)} ${n(b.top)} ${n(Math.max(width / count, right - left))} ${n(b.bottom - b.top)}"><svg x="${n(left)}" y="${n(b.top)}" width="${n(right - left)}" height="${n(b.bottom - b.top)}" viewBox="${n(left)} ${n(b.top)} ${n(right - left)} ${n(b.bottom - b.top)}"><use href="#whole"/></svg></svg>`;
  });
  return `<svg class="defs"><defs><g id="whole">${pen.content}</g></defs></svg>${uses.join("")}`;
}

const STRIP = 1500;
const MOST_STRIPS = 40;

/** Where a cut goes through as few boxes as possible, and near the middle. */
function emptiest(x: number, reach: number, boxes: { x: number; width: number }[]): number {
  const near = boxes.filter((b) => Math.abs(b.x - x) < reach + b.width);
  let best = x;
  let least = Infinity;
  for (let k = -20; k <= 20; k++) {
    const at = x + (k * reach) / 20;
    const hit = near.filter((b) => Math.abs(b.x - at) < b.width / 2 + 30).length + Math.abs(k) / 100;
    if (hit < least) {
      least = hit;
      best = at;
    }
  }
  return best;
}
