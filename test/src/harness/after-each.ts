/**
 * What the tests of a file open, and vitest closes after each of them, the last first.
 * Runs in: tests. Programs that are no tests use the classes themselves.
 */
import type { Agent } from "node:http";
import { afterEach, vi } from "vitest";
import { TestCluster } from "./cluster.js";
import type { ClusterConfig } from "./context.js";
import { Home, Supervised, type SupervisedOptions } from "./supervised.js";

/** Calls `close()` after each test; for what can be opened again, such as `Clients`. */
export function closedAfterEach<T extends { close(): unknown }>(owner: T): T {
  afterEach(async () => {
    await owner.close();
  });
  return owner;
}

/** Options of every hub; see {@link withHubOptions}. */
let everywhere: object | undefined;

/**
 * From now on, all clusters of this file have these options of the hub, beside their own. For files that run the tests of
 * another file over another link: call it, then import that file.
 */
export function withHubOptions(options: object): void {
  everywhere = options;
}

/**
 * Gives the function with which the tests of a file start their clusters. Each is closed after the test.
 * @param defaults what a test does not say otherwise
 * @param prepare what has to be done with a cluster before the test has it
 */
export function startsClusters(
  defaults: ClusterConfig,
  prepare: (cluster: TestCluster) => unknown = () => {},
): (config?: ClusterConfig) => Promise<TestCluster> {
  const open = new Set<TestCluster>();
  closedAfterEach({
    async close() {
      const clusters = [...open];
      open.clear();
      await Promise.all(clusters.map((cluster) => cluster.close()));
    },
  });
  return async (config = {}) => {
    const merged = { ...defaults, ...config };
    const hubOptions = everywhere && { ...everywhere, ...merged.hubOptions };
    const cluster = await TestCluster.start(hubOptions ? { ...merged, hubOptions } : merged);
    open.add(cluster);
    await prepare(cluster);
    return cluster;
  };
}

/** Gives the list into which a test puts its agents. Each is destroyed after the test. */
export function keepsAgents(): Agent[] {
  const agents: Agent[] = [];
  closedAfterEach({
    close() {
      for (const agent of agents.splice(0)) agent.destroy();
    },
  });
  return agents;
}

/** Its tests start many processes, one after another. */
const SUPERVISED_TEST_MS = 180_000;

/** Gives the function with which the tests of a file start supervised clusters. Each is closed after the test. */
export function startsSupervised(): {
  start(options?: SupervisedOptions): Promise<Supervised>;
  launch(options?: SupervisedOptions): Promise<Supervised>;
  home(): Home;
} {
  const open: { close(): unknown }[] = [];
  vi.setConfig({ testTimeout: SUPERVISED_TEST_MS });
  closedAfterEach({
    async close() {
      for (const each of open.splice(0).reverse()) await each.close();
    },
  });
  const keep = <T extends { close(): unknown }>(each: T): T => {
    open.push(each);
    return each;
  };
  return {
    start: async (options) => keep(await Supervised.start(options)),
    launch: async (options) => keep(await Supervised.launch(options)),
    home: () => {
      const home = new Home();
      keep({ close: () => home.remove() });
      return home;
    },
  };
}
