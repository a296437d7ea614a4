import type { Model } from "../model";
export class Engine {
  constructor(readonly model: Model) {}
  unavailable(): string { return "Edit: not yet."; }
  run(_values: Map<number, Float64Array>): Model["edit"] { return null; }
}
