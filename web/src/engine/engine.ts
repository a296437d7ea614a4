import type { Model } from "../model";
export class Engine {
  constructor(readonly model: Model) {}
  run(_values: Map<number, Float64Array>): Model["edit"] { return null; }
}
