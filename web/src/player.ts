// Play, step and scrub, forward and backward.
import type { App } from "./app";
import { byId, icon } from "./dom";
import { caption } from "./texts";

export class Player {
  private readonly scrub = byId<HTMLInputElement>("scrub");
  private readonly button = byId<HTMLButtonElement>("play");
  private timer = 0;
  playing = false;

  constructor(
    private readonly app: App,
    private readonly follow: (item: number) => void,
  ) {
    for (const name of ["first", "back", "play", "next", "last"]) byId(name).replaceChildren(icon(name));
    byId("first").addEventListener("click", () => this.jump(0));
    byId("last").addEventListener("click", () => this.jump(app.steps.total));
    byId("back").addEventListener("click", () => this.step(-1));
    byId("next").addEventListener("click", () => this.step(1));
    this.button.addEventListener("click", () => this.toggle());
    this.scrub.addEventListener("input", () => {
      this.stop();
      app.go(Number(this.scrub.value));
    });
    app.watch({ scene: () => this.refresh(), position: () => this.refresh(), values: () => this.refresh() });
  }

  step(direction: 1 | -1): void {
    this.stop();
    this.move(direction);
  }

  private move(direction: 1 | -1): void {
    const { app } = this;
    app.go(app.neighbour(direction));
    const step = app.steps.at(app.position);
    if (step && !app.atEnd) this.follow(app.scene.shown[step.edge !== null && step.edge >= 0 ? app.model.source[step.edge]! : step.node]!);
  }

  jump(position: number): void {
    this.stop();
    this.app.go(position);
  }

  toggle(): void {
    if (this.playing) return this.stop();
    if (this.app.atEnd) this.app.go(0);
    this.playing = true;
    this.label();
    this.tick();
  }

  private tick(): void {
    const speed = Number(byId<HTMLSelectElement>("speed").value);
    this.timer = window.setTimeout(() => {
      this.move(1);
      if (this.app.atEnd) this.stop();
      else if (this.playing) this.tick();
    }, 900 / speed);
  }

  stop(): void {
    window.clearTimeout(this.timer);
    this.playing = false;
    this.label();
  }

  private label(): void {
    const name = this.playing ? "pause" : "play";
    if (this.button.dataset.shown === name) return;
    this.button.dataset.shown = name;
    this.button.replaceChildren(icon(name));
    this.button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
  }

  refresh(): void {
    const { app } = this;
    const { steps, position } = app;
    this.scrub.max = String(steps.total);
    this.scrub.value = String(position);
    const turn = byId("turn");
    turn.hidden = steps.turn === steps.total || steps.total === 0;
    turn.style.left = `calc(8px + (100% - 16px) * ${steps.total ? steps.turn / steps.total : 0})`;
    for (const id of ["first", "back"]) byId<HTMLButtonElement>(id).disabled = position === 0;
    for (const id of ["last", "next"]) byId<HTMLButtonElement>(id).disabled = position >= steps.total;
    const c = caption(app, position);
    const line = document.createElement("span");
    line.textContent = app.atEnd ? this.rest() : c.text;
    line.className = app.atEnd ? "faint" : position === 0 ? "faint" : c.backward ? "gradient" : "value";
    const rule = document.createElement("span");
    rule.className = "rule";
    rule.textContent = app.atEnd ? "" : c.rule;
    byId("caption").replaceChildren(line, rule);
    byId("caption").title = `${line.textContent}\n${rule.textContent}`;
    const phase = position <= steps.turn ? `forward ${position} of ${steps.turn}` : `backward ${position - steps.turn} of ${steps.total - steps.turn}`;
    byId("place").textContent = phase;
    this.scrub.setAttribute("aria-valuetext", `${phase}: ${line.textContent}`);
  }

  private rest(): string {
    const { steps, model } = this.app;
    const back = steps.total - steps.turn;
    if (!model.hasGradients) {
      const out = model.outputs[0];
      const large = out !== undefined && model.size(out) > 1;
      return `${steps.turn} steps forward. ${large ? "The output has several elements: no gradients without backward(gradient=...)." : "No gradients."}`;
    }
    return `${steps.turn} steps forward, ${back} backward`;
  }
}
