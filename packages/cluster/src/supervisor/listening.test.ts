/** A path at which a process that is gone has left its socket, and several that want it. */
import { once } from "node:events";
import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync } from "node:fs";
import net, { connect, createServer, type Server } from "node:net";
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
  // Who only looks whether somebody is there has hung up by then.
  const server = createServer((caller) => caller.on("error", () => {}).end(name));
  servers.push(server);
  return server;
}

/** Leaves a socket on which nobody listens, as a process does that is killed some time after its start. */
async function leave(path: string): Promise<void> {
  const bound = join(directory, "bound");
  const server = createServer().listen(bound);
  await once(server, "listening");
  linkSync(bound, path);
  utimesSync(path, 0, 0);
  server.close();
}

/** A socket that is bound; `listen()` takes it. This is how Node.js itself makes one. */
function bind(path: string): object {
  const { _createServerHandle } = net as unknown as {
    _createServerHandle(path: string, port: -1, addressType: -1): object;
  };
  return _createServerHandle(path, -1, -1);
}

async function whoAnswersAt(path: string): Promise<string> {
  const [told] = (await once(connect(path).setEncoding("utf8"), "data")) as [string];
  return told;
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
  expect(await whoAnswersAt(path)).toBe(winners[0]);
  expect(readdirSync(directory)).toEqual(["sock"]);
});

test("one that is bound and does not listen yet is not taken for left behind", async () => {
  const path = join(directory, "sock");
  const [first, second] = [named("first"), named("second")];
  const handle = bind(path);
  let isTold = false;
  const listening = listen(second, { port: 0, host: undefined, path }).finally(() => {
    isTold = true;
  });
  // It has asked once by then, and was refused.
  listening.catch(() => {});
  await expect.poll(() => isTold || readdirSync(directory).length > 1, { interval: 1 }).toBe(true);
  first.listen(handle);
  await expect(listening).rejects.toMatchObject({ code: "HOLDFAST_ERR_LISTEN" });
  expect(await whoAnswersAt(path)).toBe("first");
  expect(readdirSync(directory)).toEqual(["sock"]);
});

test("while another process is at it, what was left stays for that; what was killed amid it is not waited for", async () => {
  const path = join(directory, "sock");
  const turn = join(directory, ".sock.hf-turn");
  await leave(path);
  mkdirSync(turn);
  const place = { port: 0, host: undefined, path };
  await expect(listen(named("a"), place)).rejects.toMatchObject({ code: "HOLDFAST_ERR_LISTEN" });
  expect(readdirSync(directory).sort()).toEqual([".sock.hf-turn", "sock"]);
  utimesSync(turn, 0, 0);
  await listen(named("b"), place);
  expect(await whoAnswersAt(path)).toBe("b");
  expect(readdirSync(directory)).toEqual(["sock"]);
});
