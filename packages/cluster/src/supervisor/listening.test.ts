/** A path at which a process that is gone has left its socket, and several that want it. */
import { once } from "node:events";
import { linkSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { listen } from "../../dist/supervisor/listening.js";

let directory = "";
const servers: Server[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "hf-"));
});

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(directory, { recursive: true });
});

/** One that tells everybody its name. */
function named(name: string): Server {
  const server = createServer((caller) => caller.end(name));
  servers.push(server);
  return server;
}

/** Leaves a socket on which nobody listens, as a process does that is killed. */
async function leave(path: string): Promise<void> {
  const bound = join(directory, "bound");
  const server = createServer().listen(bound);
  await once(server, "listening");
  linkSync(bound, path);
  server.close();
}

test("of several that want it at the same time, one gets it, and the others are told", async () => {
  const path = join(directory, "sock");
  await leave(path);
  const names = ["a", "b", "c"];
  const place = { port: 0, host: undefined, path };
  const results = await Promise.allSettled(names.map((name) => listen(named(name), place)));
  const winners = names.filter((_, i) => results[i]?.status === "fulfilled");
  expect(winners).toHaveLength(1);
  for (const result of results) {
    if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "HOLDFAST_ERR_LISTEN" });
  }
  const [told] = await once(connect(path).setEncoding("utf8"), "data");
  expect(told).toBe(winners[0]);
  expect(readdirSync(directory)).toEqual(["sock"]);
});
