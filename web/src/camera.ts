// Where one looks: pan and zoom by wheel, pinch, drag and keys, and which box lies under the pointer.
import type { App } from "./app";
import { draw } from "./draw";
import type { Arrow, Bounds, Box, Frame } from "./scene";

const CLOSEST = 4;
const CELL = 240;

export type Hit = { kind: "box"; box: Box } | { kind: "frame"; frame: Frame } | { kind: "arrow"; arrow: Arrow };

export class Camera {
  x = 0;
  y = 0;
  zoom = 1;
  private fitted: "all" | "readable" | null = null;
  private width = 1;
  private height = 1;
  private grid = new Map<number, Box[]>();
  private readonly pointers = new Map<number, { x: number; y: number }>();
  private moved = 0;
  onHit: (hit: Hit | null, x: number, y: number, click: boolean) => void = () => undefined;
  onResize: () => void = () => undefined;
  onDouble: (hit: Hit | null) => void = () => undefined;

  constructor(
    readonly app: App,
    readonly canvas: HTMLCanvasElement,
  ) {
    new ResizeObserver(() => this.resize()).observe(canvas);
    canvas.addEventListener("wheel", (e) => this.wheel(e), { passive: false });
    canvas.addEventListener("pointerdown", (e) => this.down(e));
    canvas.addEventListener("pointermove", (e) => this.move(e));
    for (const end of ["pointerup", "pointercancel"] as const) canvas.addEventListener(end, (e) => this.up(e));
    canvas.addEventListener("pointerleave", () => this.onHit(null, 0, 0, false));
    canvas.addEventListener("dblclick", (e) => this.onDouble(this.hit(e.offsetX, e.offsetY)));
    app.onDraw = () => this.paint();
    app.watch({ scene: () => this.index() });
  }

  get least(): number {
    const b = this.app.scene.bounds;
    return Math.min(0.2, 0.6 * Math.min(this.width / (b.right - b.left + 80), this.height / (b.bottom - b.top + 80)));
  }

  private resize(): void {
    const scale = devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    if (clientWidth === this.width && clientHeight === this.height && this.canvas.width === Math.round(clientWidth * scale)) return;
    this.width = clientWidth;
    this.height = clientHeight;
    this.canvas.width = Math.round(clientWidth * scale);
    this.canvas.height = Math.round(clientHeight * scale);
    // What was all in sight stays so; else what is chosen stays in sight.
    if (this.fitted) this.fit(this.fitted === "readable");
    else if (this.app.selected !== null) this.onResize();
    this.paint();
  }

  size(): [number, number] {
    return [this.width, this.height];
  }

  measure(): void {
    this.width = this.canvas.clientWidth || 1;
    this.height = this.canvas.clientHeight || 1;
    const scale = devicePixelRatio || 1;
    this.canvas.width = Math.round(this.width * scale);
    this.canvas.height = Math.round(this.height * scale);
  }

  view(): Bounds {
    const { x, y, zoom } = this;
    return { left: -x / zoom, top: -y / zoom, right: (this.width - x) / zoom, bottom: (this.height - y) / zoom };
  }

  paint(): void {
    const { app, canvas } = this;
    const ctx = canvas.getContext("2d", { alpha: false })!;
    const scale = devicePixelRatio || 1;
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.fillStyle = app.palette.ground;
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    ctx.setTransform(scale * this.zoom, 0, 0, scale * this.zoom, scale * this.x, scale * this.y);
    ctx.lineJoin = "round";
    draw(ctx, app.scene, app.style(), this.view(), this.zoom);
  }

  toScreen(x: number, y: number): [number, number] {
    return [x * this.zoom + this.x, y * this.zoom + this.y];
  }

  // ---- moving

  pan(dx: number, dy: number): void {
    this.fitted = null;
    const b = this.app.scene.bounds;
    const keep = 60;
    this.x = Math.min(this.width - keep - b.left * this.zoom, Math.max(keep - b.right * this.zoom, this.x + dx));
    this.y = Math.min(this.height - keep - b.top * this.zoom, Math.max(keep - b.bottom * this.zoom, this.y + dy));
    this.app.redraw();
  }

  zoomBy(factor: number, x = this.width / 2, y = this.height / 2): void {
    const to = Math.min(CLOSEST, Math.max(this.least, this.zoom * factor));
    this.x = x - ((x - this.x) * to) / this.zoom;
    this.y = y - ((y - this.y) * to) / this.zoom;
    this.zoom = to;
    this.pan(0, 0);
  }

  /** Everything in sight; with `readable`, not so small that texts cannot be read: then from the beginning. */
  fit(readable = false): void {
    const b = this.app.scene.bounds;
    const w = b.right - b.left;
    const h = b.bottom - b.top;
    const all = Math.min((this.width - 70) / w, (this.height - 90) / h, 1.6);
    this.zoom = Math.max(all, 1e-4);
    this.x = (this.width - w * this.zoom) / 2 - b.left * this.zoom;
    this.y = (this.height - 30 - h * this.zoom) / 2 - b.top * this.zoom;
    if (readable && all < 0.5) {
      this.zoom = 0.72;
      this.x = 40 - b.left * this.zoom;
      // The first boxes in the middle.
      const early = this.app.scene.boxes.filter((box) => box.x < b.left + this.width / this.zoom);
      const middle = early.reduce((sum, box) => sum + box.y, 0) / Math.max(1, early.length);
      this.y = this.height / 2 - middle * this.zoom;
    }
    this.fitted = readable ? "readable" : "all";
    this.app.redraw();
  }

  /** Bring a place into sight, moving no more than needed. */
  show(x: number, y: number, closer = false): void {
    if (closer && this.zoom < 0.6) this.zoomBy(0.9 / this.zoom);
    const [sx, sy] = this.toScreen(x, y);
    const margin = Math.min(140, this.width / 4);
    const dx = sx < margin ? margin - sx : sx > this.width - margin ? this.width - margin - sx : 0;
    const dy = sy < 80 ? 80 - sy : sy > this.height - 80 ? this.height - 80 - sy : 0;
    if (dx || dy) this.pan(dx && (Math.abs(dx) > this.width ? this.width / 2 - sx : dx), dy && (Math.abs(dy) > this.height ? this.height / 2 - sy : dy));
  }

  private wheel(e: WheelEvent): void {
    e.preventDefault();
    const unit = e.deltaMode === 1 ? 16 : e.deltaMode === 2 ? this.height : 1;
    if (e.shiftKey && !e.ctrlKey) this.pan(-(e.deltaX || e.deltaY) * unit, 0);
    else this.zoomBy(Math.exp(-e.deltaY * unit * (e.ctrlKey ? 0.01 : 0.0016)), e.offsetX, e.offsetY);
  }

  private down(e: PointerEvent): void {
    this.canvas.setPointerCapture(e.pointerId);
    this.pointers.set(e.pointerId, { x: e.offsetX, y: e.offsetY });
    this.moved = this.pointers.size > 1 ? 99 : 0;
  }

  private move(e: PointerEvent): void {
    const before = this.pointers.get(e.pointerId);
    if (!before) {
      const hit = this.hit(e.offsetX, e.offsetY);
      this.canvas.classList.toggle("over", hit !== null);
      this.onHit(hit, e.offsetX, e.offsetY, false);
      return;
    }
    const dx = e.offsetX - before.x;
    const dy = e.offsetY - before.y;
    if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== e.pointerId).map(([, p]) => p);
      const was = Math.hypot(before.x - other!.x, before.y - other!.y);
      const is = Math.hypot(e.offsetX - other!.x, e.offsetY - other!.y);
      if (was > 0) this.zoomBy(is / was, (e.offsetX + other!.x) / 2, (e.offsetY + other!.y) / 2);
      this.pan(dx / 2, dy / 2);
    } else {
      this.moved += Math.abs(dx) + Math.abs(dy);
      if (this.moved > 4) {
        this.canvas.classList.add("drag");
        this.onHit(null, 0, 0, false);
        this.pan(dx, dy);
      }
    }
    this.pointers.set(e.pointerId, { x: e.offsetX, y: e.offsetY });
  }

  private up(e: PointerEvent): void {
    if (!this.pointers.delete(e.pointerId)) return;
    this.canvas.classList.remove("drag");
    if (this.moved <= 4 && e.type === "pointerup") this.onHit(this.hit(e.offsetX, e.offsetY), e.offsetX, e.offsetY, true);
  }

  // ---- what is where

  private key(x: number, y: number): number {
    return Math.floor(x / CELL) * 100_003 + Math.floor(y / CELL);
  }

  private index(): void {
    this.grid = new Map();
    for (const box of this.app.scene.boxes) {
      for (let x = box.x - box.width / 2 - 8; x < box.x + box.width / 2 + 8 + CELL; x += CELL) {
        const k = this.key(Math.min(x, box.x + box.width / 2 + 8), box.y);
        const cell = this.grid.get(k);
        if (cell === undefined) this.grid.set(k, [box]);
        else if (cell[cell.length - 1] !== box) cell.push(box);
      }
    }
  }

  hit(px: number, py: number): Hit | null {
    const x = (px - this.x) / this.zoom;
    const y = (py - this.y) / this.zoom;
    const slack = Math.max(3, 4 / this.zoom);
    for (const dy of [0, -CELL / 2, CELL / 2]) {
      for (const box of this.grid.get(this.key(x, y + dy)) ?? []) {
        if (Math.abs(box.x - x) <= box.width / 2 + slack && Math.abs(box.y - y) <= box.height / 2 + slack) return { kind: "box", box };
      }
    }
    let best: Frame | null = null;
    for (const f of this.app.scene.frames) {
      if (x > f.left && x < f.left + f.width && y > f.top && y < f.top + 24 && (best === null || f.depth > best.depth)) best = f;
    }
    if (best) return { kind: "frame", frame: best };
    return this.arrowAt(x, y, 5 / this.zoom);
  }

  private arrowAt(x: number, y: number, slack: number): Hit | null {
    const { scene } = this.app;
    if (scene.arrows.length > 2000) return null;
    let best: Arrow | null = null;
    let least = slack;
    for (const arrow of scene.arrows) {
      for (const s of arrow.segments) {
        const d = distance(scene.segments[s]!.curve, x, y, least);
        if (d < least) {
          least = d;
          best = arrow;
        }
      }
    }
    return best && { kind: "arrow", arrow: best };
  }
}

/** From a point to a chain of Bézier curves, by short straight pieces. */
function distance(c: Float64Array, x: number, y: number, most: number): number {
  let best = Infinity;
  for (let i = 2; i < c.length; i += 6) {
    const [ax, ay, bx, by, cx, cy, dx, dy] = c.subarray(i - 2, i + 6) as unknown as [number, number, number, number, number, number, number, number];
    if (x < ax - most || x > dx + most || y < Math.min(ay, dy) - most || y > Math.max(ay, dy) + most) continue;
    let px = ax;
    let py = ay;
    for (let k = 1; k <= 12; k++) {
      const t = k / 12;
      const u = 1 - t;
      const qx = u * u * u * ax + 3 * u * u * t * bx + 3 * u * t * t * cx + t * t * t * dx;
      const qy = u * u * u * ay + 3 * u * u * t * by + 3 * u * t * t * cy + t * t * t * dy;
      const lx = qx - px;
      const ly = qy - py;
      const along = Math.max(0, Math.min(1, ((x - px) * lx + (y - py) * ly) / (lx * lx + ly * ly || 1)));
      best = Math.min(best, Math.hypot(x - px - along * lx, y - py - along * ly));
      px = qx;
      py = qy;
    }
  }
  return best;
}
