// The field in which an input gets a new value; everything that depends on it is computed anew.
import type { App } from "./app";
import { plainNumber } from "./model";
import { byId, h } from "./dom";
import { exact, listed, shortened } from "./numbers";

const EDITABLE = 200; // elements that are written out in the field

export class Editor {
  node = -1;
  private readonly values = new Map<number, Float64Array>();

  constructor(private readonly app: App) {
    app.watch({ scene: () => this.values.size && !app.model.edit && this.values.clear() });
  }

  show(node: number): HTMLElement[] {
    const { app } = this;
    const { model } = app;
    this.node = node;
    const floating = model.dtype(node).includes("float");
    const reason = app.engine.unavailable() || (model.size(node) > EDITABLE ? `Edit: this page edits values of up to ${EDITABLE} elements; this one has ${model.size(node)}.` : "");
    if (reason) return [h("p", { class: "note", id: "noedit" }, reason)];
    const data = model.value(node)!;
    const shape = model.shape(node) ?? [];
    const dtype = model.dtype(node);
    const text = data.length ? listed(data, shape, (x) => exact(x, dtype)) : "[]";
    const error = h("p", { class: "error", role: "alert", id: "editerror" });
    const scalar = shape.length === 0;
    const field = scalar
      ? h("input", { id: "editor", type: "text", inputmode: "decimal", "aria-label": `New value of ${model.name(node)}`, "aria-describedby": "editerror" })
      : h("textarea", { id: "editor", "aria-label": `New value of ${model.name(node)}`, "aria-describedby": "editerror", spellcheck: "false" });
    field.value = text;
    const slider = scalar && floating ? h("input", { class: "slider", type: "range", "aria-label": `Slide ${model.name(node)}`, min: "-1", max: "1", step: "any" }) : null;
    const span = Math.max(1, 2 * Math.abs(data[0] ?? 1) || 1);
    if (slider) {
      slider.min = String((data[0] ?? 0) - span);
      slider.max = String((data[0] ?? 0) + span);
      slider.value = String(data[0] ?? 0);
      slider.addEventListener("input", () => {
        field.value = String(Number(Number(slider.value).toPrecision(4)));
        this.take(node, field, error);
      });
    }
    field.addEventListener("input", () => {
      if (this.take(node, field, error) && slider) slider.value = field.value;
    });
    field.addEventListener("keydown", (e) => {
      e.stopPropagation();
      const { key } = e as KeyboardEvent;
      if (key === "Escape" || (key === "Enter" && scalar)) byId("canvas").focus(); // the keys are the graph's again
    });
    const reset = h("button", { id: "reset", class: "plain", title: "All inputs as they were in Python", click: () => this.reset() }, "Reset");
    return [h("h3", {}, "Edit"), h("div", { class: "edit" }, field, reset), ...(slider ? [slider] : []), error];
  }

  reset(): void {
    this.values.clear();
    this.app.edit(null);
    this.app.select(this.app.selected);
  }

  /** Set a leaf's value; throws what is wrong with it as an Error. */
  set(node: number, data: Float64Array): void {
    this.values.set(node, data);
    this.app.edit(new Map(this.values));
  }

  private take(node: number, field: HTMLInputElement | HTMLTextAreaElement, error: HTMLElement): boolean {
    const { model } = this.app;
    try {
      this.set(node, parseArray(field.value, model.shape(node) ?? [], model.dtype(node)));
      error.textContent = "";
      field.removeAttribute("aria-invalid");
      return true;
    } catch (problem) {
      error.textContent = (problem as Error).message;
      field.setAttribute("aria-invalid", "true");
      return false;
    }
  }
}

/** Numbers in brackets, as Python writes them. */
export function parseArray(text: string, shape: number[], dtype = "float64"): Float64Array {
  const out: number[] = [];
  const sizes: number[] = [];
  const tokens = text.match(/[[\](),]|[^\s[\](),]+/g) ?? [];
  let at = 0;
  const read = (depth: number): void => {
    const token = tokens[at];
    if (token === undefined) throw new Error("A number is missing at the end.");
    if (token === "[" || token === "(") {
      at++;
      let count = 0;
      while (tokens[at] !== "]" && tokens[at] !== ")") {
        if (depth > 30) throw new Error("Too many brackets.");
        read(depth + 1);
        count++;
        if (tokens[at] === ",") at++;
        else if (tokens[at] !== "]" && tokens[at] !== ")") throw new Error(tokens[at] === undefined ? "A bracket is not closed." : `Expected a comma before ${shortened(tokens[at]!, 20)}.`);
      }
      at++;
      if (sizes[depth] !== undefined && sizes[depth] !== count) throw new Error("The rows must have one length.");
      sizes[depth] = count;
      return;
    }
    at++;
    out.push(parseNumber(token, dtype));
  };
  read(0);
  if (at < tokens.length) throw new Error(`Not expected: ${shortened(tokens[at]!, 20)}`);
  const size = shape.reduce((a, b) => a * b, 1);
  if (out.length !== size || sizes.join() !== shape.join()) {
    throw new Error(`Expected ${shape.length ? `shape ${shape.join("×")}` : "one number"}, got ${sizes.length ? `shape ${sizes.join("×")}` : "one number"}.`);
  }
  return Float64Array.from(out);
}

function parseNumber(token: string, dtype: string): number {
  if (/^(true|false)$/i.test(token)) return token.toLowerCase() === "true" ? 1 : 0;
  const word = token.toLowerCase().replace(/^\+/, "");
  if (word === "nan") return NaN;
  if (/^-?inf(inity)?$/.test(word)) return plainNumber(word.startsWith("-") ? "-Infinity" : "Infinity");
  if (!/^[-+−]?(\d[\d_]*\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(token)) throw new Error(`Not a number: ${shortened(token, 20)}`);
  const x = Number(token.replace("−", "-").replaceAll("_", ""));
  if (dtype.includes("int") && !Number.isInteger(x)) throw new Error(`${token} is not a whole number (${dtype}).`);
  return dtype === "float32" ? Math.fround(x) : dtype === "bool" ? Number(x !== 0) : x;
}
