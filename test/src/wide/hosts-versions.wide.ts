/**
 * A rolling upgrade: hosts of two versions that speak the same protocol are one cluster. Each version is installed in a
 * project of its own, from the packed packages.
 */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findRedisServer, type Project, RedisServer } from "@holdfast/harness";
import { afterEach, expect, test } from "vitest";
import { closedAfterEach } from "../harness/after-each.js";
import { Example } from "../harness/example.js";
import { makesProjects } from "../harness/packed.js";
import { type RecoveringClient, RecoveringClients } from "../harness/recovering-client.js";

const MANIFEST = { type: "module", dependencies: { "socket.io": "4.8.4", redis: "5.12.1" } };
const NEXT = "0.1.1";

/** A host of one process; it says where it listens when there are two. */
const HOST_JS = `
  import { createServer } from "node:http";
  import { createAdapter } from "@holdfast/adapter";
  import { redisStreams } from "@holdfast/adapter/redis-streams";
  import { Server } from "socket.io";

  const httpServer = createServer();
  const io = new Server(httpServer, { connectionStateRecovery: {} });
  const backplane = redisStreams({ url: process.env.REDIS_URL, app: "test" });
  io.adapter(createAdapter({ backplane, onError: (error) => console.log(\`error \${error.code}\`) }));
  io.on("connection", (socket) => {
    socket.on("say", (text, done) => {
      io.emit("said", text);
      done();
    });
    socket.on("count", async (done) => done((await io.fetchSockets()).length));
    socket.on("ask", async (done) => done(await io.serverSideEmitWithAck("version")));
  });
  io.on("version", (done) => done(process.env.HOST_VERSION));
  httpServer.listen(0, "127.0.0.1", async () => {
    while ((await io.of("/").adapter.serverCount()) !== 2) await new Promise((next) => setTimeout(next, 20));
    console.log(\`port \${httpServer.address().port}\`);
  });
`;

const create = makesProjects();
const clients = closedAfterEach(new RecoveringClients());
const hosts = new Set<Example>();

afterEach(async () => {
  for (const host of hosts) await host.close();
  hosts.clear();
});

/** Gives the adapter of a project another version. */
async function setVersion({ folder }: Project, version: string): Promise<void> {
  const bundle = join(folder, "node_modules/@holdfast/adapter/dist/bundle");
  let changed = 0;
  for (const name of await readdir(bundle)) {
    if (!name.endsWith(".js")) continue;
    const text = await readFile(join(bundle, name), "utf8");
    const next = text.replace(/(VERSION = )"0\.1\.0"/, `$1"${version}"`);
    if (next !== text) changed++;
    await writeFile(join(bundle, name), next);
  }
  expect(changed).toBe(1);
}

test.skipIf(findRedisServer() === undefined)(
  "hosts are upgraded one by one, and clients go on at whichever host",
  async () => {
    const redis = await RedisServer.start();
    const { project: old } = await create(MANIFEST, { "host.js": HOST_JS });
    const { project: upgraded } = await create(MANIFEST, { "host.js": HOST_JS });
    await setVersion(upgraded, NEXT);
    const begin = (project: Project, version: string) => {
      const env = { REDIS_URL: redis.url, HOST_VERSION: version };
      const host = new Example({ folder: project.folder, script: "host.js", env });
      hosts.add(host);
      return host;
    };
    const urlOf = async (host: Example) => `http://127.0.0.1:${(await host.line(/^port (\d+)$/))[1]}`;
    const comesBack = async (client: RecoveringClient, host: Example) => {
      const back = client.connected();
      client.goesTo(await urlOf(host));
      await back;
    };
    try {
      const [a, b] = [begin(old, "old"), begin(old, "old")];
      const [first, second] = [await clients.connect(await urlOf(a)), await clients.connect(await urlOf(b))];
      const talk = async (text: string) => {
        const heard = [first, second].map((client) => client.has("said", text));
        await first.socket.emitWithAck("say", text);
        await Promise.all(heard);
      };
      await talk("both old");

      await a.close();
      const newA = begin(upgraded, "new");
      await comesBack(first, newA);
      await talk("one of each");
      expect(await second.socket.emitWithAck("ask")).toEqual(["new"]);
      expect(await first.socket.emitWithAck("ask")).toEqual(["old"]);
      expect(await second.socket.emitWithAck("count")).toBe(2);

      await b.close();
      const newB = begin(upgraded, "new");
      await comesBack(second, newB);
      await talk("both new");
      for (const { connects } of [first, second])
        expect(connects.map(({ recovered }) => recovered)).toEqual([false, true]);
      for (const host of hosts) expect(host.output).not.toContain("error");
    } finally {
      await redis.close();
    }
  },
);
