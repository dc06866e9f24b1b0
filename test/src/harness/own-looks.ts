/** A process of a supervised cluster looks at its own memory each second: that tells its time from outside. Runs in: tests. */
import type { RemoteProcess } from "@holdfast/harness";

/**
 * Settles when it has looked three times. Between two of them, whatever it does twice a second has had its turn.
 */
export async function looksAtItself<C>(target: RemoteProcess<C>): Promise<void> {
  await target.run(
    () =>
      new Promise<void>((resolve) => {
        const { rss } = process.memoryUsage;
        let looks = 0;
        process.memoryUsage.rss = () => {
          if (++looks === 3) resolve();
          return rss();
        };
      }),
  );
}
