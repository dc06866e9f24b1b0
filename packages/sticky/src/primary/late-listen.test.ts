/** The `listen()` of a router's server that waits for workers to leave their places. */
import cluster from "node:cluster";
import { createServer } from "node:net";
import { afterEach, expect, test } from "vitest";
import { uncaughtOf } from "../../../../harness/dist/uncaught-of.js";
import { listenAfterWorkers } from "../../dist/primary/late-listen.js";

const workers = cluster.workers as unknown as Record<number, object>;
afterEach(() => void delete workers[1]);

test("nobody listens for what is wrong with its arguments: that is uncaught, and who has told goes on", () => {
  workers[1] = { id: 1, state: "listening" };
  const server = createServer();
  let onChanged = () => {};
  listenAfterWorkers(
    server,
    () => true,
    (listener) => {
      onChanged = listener;
      return () => {};
    },
  );
  server.listen(70_000);
  const uncaught = uncaughtOf(() => onChanged());
  expect(uncaught).toHaveLength(1);
  expect(uncaught[0]).toThrow("70000");
});
