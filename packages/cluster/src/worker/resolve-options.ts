/** Checks the options of `joinCluster()`, once. Runs in: workers. */
import type { AdapterOptions } from "@holdfast/adapter";
import type { WorkerOptions } from "@holdfast/sticky";
import { isPlainObject, OptionReader } from "../option-reader.js";
import type { JoinOptions } from "../options.js";

export interface ResolvedJoinOptions {
  /** What is in these two is checked by the packages that they are for. */
  readonly adapter: AdapterOptions;
  readonly sticky: WorkerOptions;
  readonly onStop: () => unknown;
}

export function resolveJoinOptions(input: JoinOptions = {}): ResolvedJoinOptions {
  const options = new OptionReader("joinCluster", input);
  return options.end({
    adapter: options.value<AdapterOptions>("adapter", {}, isPlainObject, "an object of options"),
    sticky: options.value<WorkerOptions>("sticky", {}, isPlainObject, "an object of options"),
    onStop: options.fn("onStop", (): unknown => undefined),
  });
}
