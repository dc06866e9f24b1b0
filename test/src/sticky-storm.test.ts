/** No connection is lost, however many come at once and however their heads are cut. */
import { connect } from "node:net";
import { expect, test } from "vitest";
import { startsClusters } from "./harness/after-each.js";

/** The whole number belongs to `npm run test:tools`. */
const CONNECTIONS = process.env.HOLDFAST_WIDE === "1" ? 100_000 : 5_000;
const AT_ONCE = 400;

const start = startsClusters({ workers: 3, adapter: false });

test(`${CONNECTIONS} connections with bodies, ${AT_ONCE} at once: none is lost`, {
  timeout: 300_000,
}, async () => {
  const cluster = await start({
    setUpWorker: (ctx) =>
      ctx.httpServer.on("request", (req, res) => {
        let size = 0;
        req.on("data", (chunk) => {
          size += chunk.length;
        });
        req.on("end", () => res.end(String(size)));
      }),
  });
  const head = "POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n";
  const failures: string[] = [];
  const visit = (i: number): Promise<void> =>
    new Promise((resolve) => {
      let answer = "";
      const socket = connect(cluster.port, "127.0.0.1", () => {
        // Whole, or in three pieces: the later ones arrive while the connection is on its way to the worker.
        if (i % 2 === 0) socket.write(`${head}0123456789`);
        else {
          const cut = 1 + (i % (head.length - 1));
          socket.write(head.slice(0, cut));
          setImmediate(() => {
            socket.write(`${head.slice(cut)}01234`);
            setImmediate(() => socket.write("56789"));
          });
        }
      });
      socket.on("data", (chunk) => {
        answer += chunk;
      });
      socket.on("error", (error) => failures.push(error.message));
      socket.on("close", () => {
        if (!/\r\n10(\r\n|$)/.test(answer)) failures.push(JSON.stringify(answer));
        resolve();
      });
    });
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < CONNECTIONS) await visit(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  expect(failures).toEqual([]);
});
