/** Plain GET requests on keep-alive connections, each as soon as the last is answered. Runs in: load generators. */
import type { Commands } from "@holdfast/harness";
import { HttpPool } from "./http-wire.js";

export interface GetReport {
  readonly requests: number;
  readonly failures: readonly string[];
  readonly seconds: number;
}

export function getters(): Commands {
  let pool: HttpPool | undefined;
  return {
    /** Asks for `path` over `connections` connections for `ms` milliseconds, expecting `expected` as the body. */
    get: async (port: number, path: string, expected: string, connections: number, ms: number) => {
      pool ??= new HttpPool(port);
      const from = pool;
      const failures = new Set<string>();
      let requests = 0;
      const start = performance.now();
      const lane = async () => {
        while (performance.now() - start < ms) {
          try {
            const { status, body } = await from.get(path);
            if (status !== 200 || body !== expected)
              failures.add(`answered with ${status} ${body.slice(0, 60)}`);
          } catch (error) {
            failures.add((error as Error).message);
          }
          requests++;
        }
      };
      await Promise.all(Array.from({ length: connections }, lane));
      const seconds = (performance.now() - start) / 1000;
      return { requests, failures: [...failures], seconds } satisfies GetReport;
    },
  };
}
