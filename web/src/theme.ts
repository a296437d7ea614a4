// Colours as in chainrule.graphs.theme: values and gradients differ by colour and place, kinds by colour and shape.
import type { Kind } from "./model";

export type Shown = Kind | "module";

export interface Palette {
  dark: boolean;
  ground: string;
  ink: string;
  faint: string;
  edge: string;
  local: string;
  value: string;
  gradient: string;
  frame: string;
  frameLine: string;
  accent: string;
  kinds: Record<Shown, [fill: string, line: string]>;
}

export const LIGHT: Palette = {
  dark: false,
  ground: "#ffffff",
  ink: "#1b1f24",
  faint: "#5c656e",
  edge: "#6a737d",
  local: "#4b5259",
  value: "#0b57a4",
  gradient: "#b3370b",
  frame: "rgba(45,122,85,0.045)",
  frameLine: "#a9c9b8",
  accent: "#0b57a4",
  kinds: {
    input: ["#e4effb", "#2f6aa8"],
    parameter: ["#f0e7f8", "#7647a2"],
    constant: ["#f3f3f0", "#77776f"],
    operator: ["#ffffff", "#3a4048"],
    output: ["#fdf2d6", "#946a08"],
    module: ["#e6f3ec", "#2d7a55"],
  },
};

export const DARK: Palette = {
  dark: true,
  ground: "#15181d",
  ink: "#eceff3",
  faint: "#a2abb5",
  edge: "#8f98a3",
  local: "#b9c0c9",
  value: "#7cc0ff",
  gradient: "#ff9d6e",
  frame: "rgba(111,207,159,0.05)",
  frameLine: "#315a47",
  accent: "#7cc0ff",
  kinds: {
    input: ["#1a2f47", "#74aee8"],
    parameter: ["#32234a", "#bd93ea"],
    constant: ["#2a2c2f", "#a3a69f"],
    operator: ["#22262c", "#c6ccd4"],
    output: ["#3d3214", "#e3b84e"],
    module: ["#17352a", "#6fcf9f"],
  },
};

const SYMBOLS: Record<string, string> = {
  add: "+", sub: "−", rsub: "−", mul: "×", div: "÷", neg: "−", pow: "xʸ", square: "x²",
  matmul: "@", mm: "@", mv: "@", bmm: "@", dot: "·", t: "xᵀ", transpose: "xᵀ", sum: "Σ", prod: "Π",
  sqrt: "√", reciprocal: "1/x", abs: "|x|", where: "if", eq: "=", ne: "≠", lt: "<", le: "≤", gt: ">", ge: "≥",
};

export const symbol = (operator: string): string => SYMBOLS[operator] ?? operator;

/** Whether a node's label is a name of the user's, and not the operator's with a number. */
export function hasOwnName(label: string, operator: string): boolean {
  return label !== "" && label !== operator && label.replace(/_?\d*$/, "").replace(/_+$/, "") !== operator;
}

const NARROW = new Set("fijlrtI.,:;|!'()[]{}-/ ");

/** About how wide a text is; the same on every machine, so that drawings are. */
export function textWidth(text: string, size: number): number {
  let total = 0;
  for (const c of text) {
    if (NARROW.has(c)) total += 0.4;
    else if ("mwMW@%…—".includes(c) || c > "\u2e7f") total += 1;
    else if (c >= "A" && c <= "Z") total += 0.72;
    else total += 0.61;
  }
  return total * size;
}

/** From small to large: the cividis colours, told apart with the common colour vision deficiencies and in print. */
const SCALE: [number, number, number][] = [
  [0, 34, 78], [40, 60, 110], [84, 92, 109], [125, 124, 120], [166, 157, 117], [209, 194, 99], [254, 232, 56],
];

/** The colour of a part (0 to 1) of the scale, and an ink that can be read on it. */
export function scaleColour(part: number): [string, string] {
  const at = Math.min(1, Math.max(0, part)) * (SCALE.length - 1);
  const k = Math.min(SCALE.length - 2, Math.floor(at));
  const mix = SCALE[k]!.map((c, i) => Math.round(c + (SCALE[k + 1]![i]! - c) * (at - k)));
  return [`rgb(${mix.join(",")})`, mix[0]! * 0.299 + mix[1]! * 0.587 + mix[2]! * 0.114 > 120 ? "#1b1f24" : "#ffffff"];
}
export const NOT_FINITE: [string, string] = ["#d6249f", "#ffffff"];
