// What the shapes, places and colours mean; the overview map in the corner.
import { legendRange, type App } from "./app";
import type { Camera } from "./camera";
import { byId, h } from "./dom";
import { shape, type Pen } from "./draw";
import { NOT_FINITE, scaleColour, type Shown } from "./theme";

const ORDER: Shown[] = ["input", "parameter", "constant", "operator", "output", "module"];

export function legend(app: App): void {
  const kinds = new Set(app.scene.boxes.map((b) => b.kind));
  if (app.scene.frames.length) kinds.add("module");
  const parts: HTMLElement[] = [];
  const scale = devicePixelRatio || 1;
  for (const kind of ORDER) {
    if (!kinds.has(kind)) continue;
    const mark = h("canvas", { width: String(22 * scale), height: String(16 * scale), style: "width:22px;height:16px", "aria-hidden": "true" });
    const pen = mark.getContext("2d")!;
    pen.scale(scale, scale);
    shape(pen as Pen, { kind, x: 11, y: 8, width: 18, height: 12 }, app.palette, null);
    parts.push(h("span", {}, mark, kind));
  }
  parts.push(h("span", { class: "value" }, "above: value"));
  if (app.model.hasGradients) parts.push(h("span", { class: "gradient" }, "below: gradient"));
  if (app.scene.arrows.some((a) => a.label)) parts.push(h("span", {}, "on the arrows: local derivative"));
  const range = app.magnitudes;
  if (app.byGradient && range) {
    const stops = Array.from({ length: 7 }, (_, i) => scaleColour(i / 6)[0]).join(",");
    parts.push(h("span", {}, `|gradient| ${legendRange(range.low)}`, h("i", { style: `background:linear-gradient(90deg,${stops})` }), legendRange(range.high)));
    parts.push(h("span", {}, h("i", { style: `background:${NOT_FINITE[0]};width:12px` }), "NaN or infinite"));
  }
  byId("legend").replaceChildren(...parts);
}

const WIDE = 200;
const HIGH = 120;

/** All of the drawing in small, with the part that is in sight; only where not everything is. */
export class Overview {
  private readonly canvas = byId<HTMLCanvasElement>("map");
  private base: HTMLCanvasElement | null = null;
  private zoom: [number, number] = [1, 1];

  constructor(
    private readonly app: App,
    private readonly camera: Camera,
  ) {
    app.watch({ scene: () => (this.base = null), drawn: () => this.paint() });
    const go = (e: PointerEvent): void => {
      if (!e.buttons) return;
      const { bounds } = app.scene;
      const [w, t] = camera.size();
      camera.x = w / 2 - (bounds.left + e.offsetX / this.zoom[0]) * camera.zoom;
      camera.y = t / 2 - (bounds.top + e.offsetY / this.zoom[1]) * camera.zoom;
      camera.pan(0, 0);
    };
    this.canvas.addEventListener("pointerdown", go);
    this.canvas.addEventListener("pointermove", go);
  }

  forget(): void {
    this.base = null;
  }

  private paint(): void {
    const { bounds, boxes } = this.app.scene;
    const v = this.camera.view();
    const all = v.left <= bounds.left + 30 && v.right >= bounds.right - 30 && v.top <= bounds.top + 30 && v.bottom >= bounds.bottom - 30;
    this.canvas.hidden = all || this.camera.size()[0] < 600;
    if (this.canvas.hidden) return;
    const w = bounds.right - bounds.left;
    const t = bounds.bottom - bounds.top;
    // Very long drawings are stretched across, else there would be nothing to see.
    const even = Math.min(WIDE / w, HIGH / t);
    const width = Math.max(48, w * even);
    const height = Math.max(36, t * even);
    this.zoom = [width / w, height / t];
    const [zx, zy] = this.zoom;
    const scale = devicePixelRatio || 1;
    if (this.base === null) {
      this.base = document.createElement("canvas");
      this.base.width = this.canvas.width = Math.round(width * scale);
      this.base.height = this.canvas.height = Math.round(height * scale);
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
      const ctx = this.base.getContext("2d")!;
      ctx.scale(scale, scale);
      const { palette } = this.app;
      for (const kind of ORDER) {
        ctx.fillStyle = kind === "operator" ? palette.edge : palette.kinds[kind][1];
        for (const b of boxes) {
          if (b.kind !== kind) continue;
          const bw = Math.max(1.5, b.width * zx);
          const bh = Math.max(1.5, b.height * zy);
          ctx.fillRect((b.x - bounds.left) * zx - bw / 2, (b.y - bounds.top) * zy - bh / 2, bw, bh);
        }
      }
    }
    const ctx = this.canvas.getContext("2d")!;
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, this.canvas.width, this.canvas.height);
    ctx.drawImage(this.base, 0, 0);
    ctx.scale(scale, scale);
    ctx.strokeStyle = this.app.palette.accent;
    ctx.lineWidth = 1.5;
// What is in sight, as far as it lies on the map.
    const left = Math.max(1, (v.left - bounds.left) * zx);
    const top = Math.max(1, (v.top - bounds.top) * zy);
    const right = Math.min(width - 1, (v.right - bounds.left) * zx);
    const bottom = Math.min(height - 1, (v.bottom - bounds.top) * zy);
    ctx.strokeRect(left, top, Math.max(1, right - left), Math.max(1, bottom - top));
  }
}
