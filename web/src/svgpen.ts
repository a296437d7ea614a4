// A pen that writes SVG: for printing sharply, and to save what is on the screen.
import type { Pen } from "./draw";

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

  /** The document: what was drawn, in a frame of the scene's coordinates. */
  svg(left: number, top: number, width: number, height: number, ground: string, title: string): string {
    const box = `${n(left)} ${n(top)} ${n(width)} ${n(height)}`;
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${box}" width="${n(width)}" height="${n(height)}" role="img"><title>${xml(title)}</title>` +
      `<rect x="${n(left)}" y="${n(top)}" width="${n(width)}" height="${n(height)}" fill="${ground}"/>${this.parts.join("")}</svg>`
    );
  }

  /** As the functions that draw want it. */
  get pen(): Pen {
    return this as unknown as Pen;
  }
}
