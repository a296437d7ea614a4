// Sentences about nodes, edges, steps and paths, for hovering, the panel, the caption and screen readers.
import type { App } from "./app";
import type { Model } from "./model";
import { arrayText, exact, factor, general, shapeText, valueText } from "./numbers";
import { pathNumbers, type Route } from "./paths";
import { argumentsOf, derivativeOf, formula } from "./rules";
import type { Arrow } from "./scene";

/** `q = x + y = 2 + 3 = 5`, as Graph.forward_steps() writes it. */
export function computed(model: Model, node: number): string {
  const args = argumentsOf(model, node);
  const names = args.map((k) => (k === null ? "?" : model.name(k)));
  const values = args.map((k) => {
    const v = k === null ? null : model.value(k);
    return v?.length === 1 ? (model.dtype(k!) === "bool" ? exact(v[0]!, "bool") : factor(v[0]!)) : null;
  });
  const parts = [`${model.name(node)} = ${formula(model, node, names)}`];
  if (values.length && !values.includes(null) && values.some((v, i) => v !== names[i])) parts.push(formula(model, node, values as string[]));
  parts.push(valueText(model, node) || "?");
  return parts.join(" = ");
}

const outputName = (model: Model): string => (model.outputs.length === 1 ? model.name(model.outputs[0]!) : "outputs");

/** `∂f/∂x = ∂f/∂q · ∂q/∂x = -4·1 = -4`, for one step of the backward pass. */
export function passed(app: App, node: number, edge: number, position: number): { text: string; rule: string } {
  const { model, steps } = app;
  const e = outputName(model);
  if (edge < 0) {
    const seed = model.seeds?.[model.outputs.indexOf(node)];
    const text = seed ? arrayText(seed, model.shape(node) ?? [], model.dtype(node)) : valueText(model, node, true);
    return { text: `∂${e}/∂${model.name(node)} = ${text}`, rule: "the start of the backward pass" };
  }
  const source = model.source[edge]!;
  const first = steps.firstAt[source] === position;
  let symbol = derivativeOf(model, edge);
  if (!symbol || symbol.length > 40) symbol = `∂${model.name(node)}/∂${model.name(source)}`;
  if (symbol.includes(" ")) symbol = `(${symbol})`;
  const head = `∂${e}/∂${model.name(source)} ${first ? "=" : "+="} ∂${e}/∂${model.name(node)} · ${symbol}`;
  const g = model.gradient(node);
  const local = model.local(edge);
  const part = steps.contribution(edge);
  const shape = model.shape(source) ?? [];
  let shown = part ? arrayText(part, shape, model.dtype(source)) : valueText(model, source, true);
  if (model.isScalarEdge(edge) && g && local) shown = `${factor(g[0]!)}·${factor(local[0]!)} = ${shown}`;
  const sum = first ? null : steps.partial(source, position);
  const more = sum ? `, in all ${arrayText(sum, shape, model.dtype(source))}` : "";
  return { text: `${head} = ${shown}${more}`, rule: model.rule(edge) };
}

/** What the step to a position did. */
export function caption(app: App, position: number): { text: string; rule: string; backward: boolean } {
  const { model, steps, scene, tree } = app;
  const step = steps.at(position);
  if (step === null) return { text: "The inputs and parameters are given.", rule: "", backward: false };
  const item = scene.shown[step.node]!;
  if (tree.isGroup(item)) {
    const g = tree.at(item);
    const backward = step.edge !== null;
    const shown = backward ? "" : ` → ${valueText(model, step.node)}`;
    return { text: `${g.label}: ${backward ? "gradients pass" : "computes"}${shown}`, rule: backward ? passed(app, step.node, step.edge!, position).text : computed(model, step.node), backward };
  }
  if (step.edge === null) return { text: computed(model, step.node), rule: "", backward: false };
  return { ...passed(app, step.node, step.edge, position), backward: true };
}

/** A node in one sentence, for screen readers. */
export function spoken(app: App, item: number): string {
  const { model, tree, scene } = app;
  if (tree.isGroup(item)) {
    const g = tree.at(item);
    return `${g.label}, closed box of ${g.count} values. Enter opens it.`;
  }
  const box = scene.byItem.get(item);
  const value = box && app.valueAt(box) ? valueText(model, item) : "";
  const gradient = box && app.gradientAt(box) ? valueText(model, item, true) : "";
  const operator = model.operator(item);
  const made = operator ? `, ${operator} of ${argumentsOf(model, item).map((k) => (k === null ? "nothing" : model.name(k))).join(" and ")}` : "";
  return `${model.name(item)}, ${model.kindOf(item)}${made}${value ? `, value ${value}` : ""}${gradient ? `, gradient ${gradient}` : ""}`;
}

/** An edge's derivative: `∂f/∂q = z = -4`. */
export function edgeText(model: Model, edge: number, full = false): string {
  const source = model.source[edge]!;
  const target = model.target[edge]!;
  const head = `∂${model.name(target)}/∂${model.name(source)}`;
  if (!model.flows[edge]) return `${head}: no gradient passes`;
  const symbol = derivativeOf(model, edge);
  const local = model.local(edge);
  const parts = [head];
  if (symbol) parts.push(symbol);
  if (model.isScalarEdge(edge)) {
    const number = local ? (full ? exact(local[0]!, model.dtype(target)) : general(local[0]!)) : "?";
    if (number !== symbol) parts.push(number);
  } else if (local && local.length <= 36) {
    const rows = model.size(target);
    const columns = model.size(source);
    parts.push(arrayText(local, rows === 1 ? [columns] : [rows, columns], "float64", local.length <= 16));
  } else parts.push(`a linear map ${shapeText(model.shape(source))} → ${shapeText(model.shape(target))}`);
  return parts.join(" = ");
}

export function arrowTitle(app: App, arrow: Arrow): string {
  const name = (item: number): string => (app.tree.isGroup(item) ? app.tree.at(item).label : app.model.name(item));
  return `${name(arrow.source)} → ${name(arrow.target)}`;
}

/** The paths of a route as lines. */
export function routeLines(model: Model, route: Route): { head: string; lines: string[]; more: string; sum: string; factored: string } {
  const name = `∂${model.name(route.end)}/∂${model.name(route.start)}`;
  const shape = model.shape(route.start) ?? [];
  const dtype = model.dtype(route.start);
  const lines = route.paths.map((p) => {
    const way = [model.name(route.start), ...p.edges.map((e) => model.name(model.target[e]!))];
    const shown = way.length > 8 ? [...way.slice(0, 3), `… ${way.length - 5} …`, ...way.slice(-2)] : way;
    const numbers = pathNumbers(model, p);
    const product = p.product ? arrayText(p.product, shape, dtype) : "";
    const right = numbers && numbers !== product ? `${numbers} = ${product}` : product;
    return `${shown.join(" → ")}${right ? `:  ${right}` : ""}`;
  });
  const sum = route.sum ? arrayText(route.sum, shape, dtype) : "";
  return {
    head: `${route.count} path${route.count === "1" ? "" : "s"} to ${model.name(route.end)}`,
    lines,
    more: route.few ? "" : `… and more: the products of all ${route.count} sum to the gradient`,
    sum: sum && (lines.length > 1 || !route.few) ? `${name} = ${sum}` : "",
    factored: route.factored ? `${name} = ${route.factored.formula} = ${route.factored.numbers}${sum ? ` = ${sum}` : ""}` : "",
  };
}
