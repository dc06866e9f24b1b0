/** A reload of one host of several: its sessions move within it, and the other hosts hear nothing of that. */
import { findRedisServer, RedisServer } from "@holdfast/harness";
import { expect, test } from "vitest";
import { closedAfterEach, startsSupervised } from "./harness/after-each.js";
import { RecoveringClients } from "./harness/recovering-client.js";
import { RoundRobin } from "./harness/round-robin.js";
import type { Supervised } from "./harness/supervised.js";

const { start } = startsSupervised();
const clients = closedAfterEach(new RecoveringClients());

const balancers = closedAfterEach({
  list: [] as RoundRobin[],
  close() {
    for (const balancer of this.list.splice(0)) balancer.close();
  },
});

/** Keeps what the host's hub complains of. */
function listen({ primary }: Supervised): Promise<void> {
  return primary.run(() => {
    const store = globalThis as unknown as { complaints: string[] };
    store.complaints = [];
    process.on("warning", ({ message }) => store.complaints.push(message));
  });
}

const complaints = ({ primary }: Supervised): Promise<string[]> =>
  primary.run(() => (globalThis as unknown as { complaints: string[] }).complaints);

test.skipIf(findRedisServer() === undefined)(
  "sessions move, also those that poll by way of both hosts, what is left behind still answers, and nothing is told",
  async () => {
    const redis = await RedisServer.start();
    try {
      const backplane = { url: redis.url, app: "test", lease: 30_000, timeout: 20_000 };
      const [here, there] = await Promise.all([
        start({ backplane, options: { workers: 1 } }),
        // It wants all frames.
        start({ backplane, options: { workers: 1 }, how: { adapter: { interest: false } } }),
      ]);
      await Promise.all([listen(here), listen(there)]);
      const balancer = await RoundRobin.open(here.port, there.port);
      balancers.list.push(balancer);
      const polling = await clients.connect(balancer.url, { transports: ["polling"] });
      const [moved, other] = await Promise.all([clients.connect(here.url), clients.connect(there.url)]);
      await here.worker(0).run((ctx) => {
        const { sockets } = ctx.io.sockets;
        for (const socket of sockets.values()) {
          socket.on("ask", (answer: () => void) => {
            ctx.emit("asked");
            const timer = setInterval(() => {
              if (sockets.has(socket.id)) return;
              clearInterval(timer);
              answer();
            }, 1);
          });
        }
      });
      const asked = here.worker(0).next("asked");
      const answer = moved.socket.emitWithAck("ask");
      await asked;
      expect(await here.reload()).toMatchObject({ moved: 2, closed: 0 });
      await answer;
      await here.worker(0).run((ctx) => void ctx.io.emit("afterwards"));
      await Promise.all([moved, other, polling].map((client) => client.has("afterwards")));
      await polling.socket.emitWithAck("join", "tea");
      expect([moved, polling].map(({ connects }) => connects.length)).toEqual([1, 1]);
      expect(await Promise.all([here, there].map(complaints))).toEqual([[], []]);
    } finally {
      await redis.close();
    }
  },
);
