// Everything by keyboard.
import type { App } from "./app";
import type { Camera } from "./camera";
import { byId, h } from "./dom";
import type { Player } from "./player";
import type { Search } from "./search";

export interface Actions {
  fit: () => void;
  overview: () => void;
  openAll: () => void;
  colour: () => void;
  theme: () => void;
  save: () => void;
  go: (item: number) => void;
}

const KEYS: [string, string][] = [
  ["/", "search"], ["← → ↑ ↓", "to an input, a user, the box above or below"],
  ["Enter", "open a box; details of a node"], ["Backspace", "close the box around the chosen node"],
  ["space", "play or pause"], [", .", "one step back or on"],
  ["Home End", "to the start, to the end"], ["p", "paths of the chosen node to the output"],
  ["e", "edit the chosen input"], ["c", "colour by the size of the gradient"],
  ["+ −", "zoom"], ["Shift + arrows", "move the picture"],
  ["f", "show everything"], ["o w", "open all boxes; back to the overview"],
  ["t", "light or dark"], ["s", "save the drawing as SVG"],
  ["Esc", "let go"], ["?", "this help"],
];

export function help(): void {
  const dialog = byId<HTMLDialogElement>("help");
  if (dialog.open) return dialog.close();
  if (!dialog.childElementCount) {
    dialog.append(
      h("h2", {}, "Keys"),
      h("div", { class: "keys" }, ...KEYS.flatMap(([key, what]) => [h("span", {}, h("kbd", {}, key)), h("span", {}, what)])),
      h("p", { class: "note" }, "Wheel or pinch zooms, dragging moves. Rest on anything for exact numbers; on an input for its paths. Double-click opens and closes boxes."),
      h("form", { method: "dialog" }, h("button", { class: "plain" }, "Close")),
    );
  }
  dialog.showModal();
}

export function keys(app: App, camera: Camera, player: Player, search: Search, act: Actions): void {
  const canvas = byId("canvas");
  document.addEventListener("keydown", (e) => {
    const at = e.target as HTMLElement;
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (byId<HTMLDialogElement>("help").open) {
      if (e.key === "?") help();
      return;
    }
    if (at.matches("input:not([type=range]), textarea, select")) return;
    const onCanvas = at === canvas || at === document.body;
    const button = at.matches("button, a");
    if (handle(e, onCanvas, button)) e.preventDefault();
  });

  function handle(e: KeyboardEvent, onCanvas: boolean, button: boolean): boolean {
    switch (e.key) {
      case "/": search.focus(); return true;
      case "?": help(); return true;
      case " ": if (button) return false; player.toggle(); return true;
      case ".": player.step(1); return true;
      case ",": player.step(-1); return true;
      case "f": case "0": act.fit(); return true;
      case "o": act.openAll(); return true;
      case "w": act.overview(); return true;
      case "c": act.colour(); return true;
      case "t": act.theme(); return true;
      case "s": act.save(); return true;
      case "+": case "=": camera.zoomBy(1.25); return true;
      case "-": camera.zoomBy(0.8); return true;
      case "Escape": escape(); return true;
      case "p": paths(); return true;
      case "e": byId("editor")?.focus(); return true;
    }
    if (!onCanvas) return false;
    switch (e.key) {
      case "Home": player.jump(0); return true;
      case "End": player.jump(app.steps.total); return true;
      case "Enter": enter(); return true;
      case "Backspace": close(); return true;
      case "ArrowLeft": case "ArrowRight": case "ArrowUp": case "ArrowDown": arrow(e.key, e.shiftKey); return true;
    }
    return false;
  }

  function escape(): void {
    if (app.route) app.showPaths(null);
    else if (app.matches.size) search.clear();
    else act.go(-1);
    canvas.focus();
  }

  function paths(): void {
    const node = app.selected;
    if (node === null || app.tree.isGroup(node)) return;
    app.showPaths(app.route?.start === node ? null : node);
    app.select(node);
  }

  function enter(): void {
    const item = app.selected;
    if (item === null) return first();
    if (!app.tree.isGroup(item)) return act.go(item);
    const inside = app.tree.at(item).children;
    if (app.open.has(item)) return app.close(item);
    app.toggle(item);
    act.go(inside.find((c) => !app.tree.isGroup(c) && !app.model.isLeaf(c)) ?? inside[0]!);
  }

  function close(): void {
    const item = app.selected;
    if (item === null) return;
    const home = app.tree.parent[item]!;
    if (home >= 0 && home !== app.tree.root.item) {
      app.close(home);
      act.go(home);
    }
  }

  function first(): void {
    const left = [...app.scene.boxes].sort((a, b) => a.x - b.x || a.y - b.y)[0];
    if (left) act.go(left.item);
  }

  function arrow(key: string, shift: boolean): void {
    if (shift) {
      const d = 80;
      camera.pan(key === "ArrowLeft" ? d : key === "ArrowRight" ? -d : 0, key === "ArrowUp" ? d : key === "ArrowDown" ? -d : 0);
      return;
    }
    const item = app.selected;
    const box = item === null ? undefined : app.scene.byItem.get(item);
    if (item === null || !box) return first();
    if (key === "ArrowLeft" || key === "ArrowRight") {
      const ends = key === "ArrowLeft" ? (app.scene.into.get(item) ?? []).map((a) => a.source) : (app.scene.outOf.get(item) ?? []).map((a) => a.target);
      if (ends.length) act.go(ends[0]!);
      return;
    }
    // The nearest box above or below, rather in the same column.
    const sign = key === "ArrowUp" ? -1 : 1;
    let best = null;
    let least = Infinity;
    for (const other of app.scene.boxes) {
      const dy = (other.y - box.y) * sign;
      if (other === box || dy <= 1) continue;
      const far = dy + 3 * Math.abs(other.x - box.x);
      if (far < least) {
        least = far;
        best = other;
      }
    }
    if (best) act.go(best.item);
  }
}
