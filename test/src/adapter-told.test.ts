/** What somebody was told is so, though the worker that has told it dies in that moment. */
import { within } from "@holdfast/harness";
import { describe, expect, test } from "vitest";
import { closedAfterEach, startsClusters } from "./harness/after-each.js";
import { Clients } from "./harness/clients.js";
import type { WorkerContext } from "./harness/context.js";
import { LINKS } from "./harness/links.js";
import { type RecoveringClient, RecoveringClients } from "./harness/recovering-client.js";

const start = startsClusters({ sticky: false, workers: 2 }, (cluster) => cluster.untilJoined());
const clients = closedAfterEach(new Clients());
const recovering = closedAfterEach(new RecoveringClients());

/** How a client hears that something was done, and over what. */
const TOLD = (["acknowledgement", "event", "question"] as const).flatMap((by) =>
  (["websocket", "polling"] as const).map((transport) => ({ by, transport })),
);

const ACKNOWLEDGED = TOLD.filter(({ by }) => by === "acknowledgement");

/** What a client says goes to all other servers or clients, then it is told so; the worker ends within the same turn. */
function sayAndDie(ctx: WorkerContext, to: "servers" | "clients"): void {
  ctx.io.on("connection", (socket) => {
    socket.on("say", (by: string, done: () => void) => {
      if (to === "servers") ctx.io.serverSideEmit("said");
      else socket.broadcast.emit("said");
      if (by === "acknowledgement") done();
      if (by === "event") socket.emit("told");
      if (by === "question") socket.emit("told", () => {});
      process.kill(process.pid, "SIGKILL");
    });
  });
}

const RECOVERY = { connectionStateRecovery: {} };

/** A cluster with so many clients at its first worker that can recover: without an offset, nobody does. */
async function startRecovering(link: string, count: number) {
  const { a, b } = await start({ hubOptions: { link }, io: RECOVERY });
  const all = await Promise.all(Array.from({ length: count }, () => recovering.connect(a.url)));
  await b.run((ctx) => void ctx.io.emit("first"));
  await Promise.all(all.map((client) => client.has("first")));
  return { a, b, all };
}

for (const link of LINKS) {
  const hubOptions = { link };

  describe(`over ${link}`, () => {
    test.each([
      ...TOLD.map((told) => ({ ...told, to: "clients", recovery: false }) as const),
      // With recovery, clients are told of nothing but this before the hub has what went to clients.
      ...ACKNOWLEDGED.map((told) => ({ ...told, to: "clients", recovery: true }) as const),
      // Plain events wait for the hub themselves.
      ...TOLD.filter(({ by }) => by !== "event").map(
        (told) => ({ ...told, to: "servers", recovery: true }) as const,
      ),
    ])(
      "$by over $transport tells a client only what other $to get though its worker is killed, recovery: $recovery",
      async ({ by, transport, to, recovery }) => {
        const { a, b } = await start({ hubOptions, io: recovery ? RECOVERY : {} });
        const listener = await clients.connectTo(a);
        await a.run((ctx) => {
          const heard = new Promise<void>((resolve) => ctx.io.on("said", resolve));
          ctx.store.heard = heard;
        });
        await b.run(sayAndDie, to);
        const sender = await clients.connectTo(b, { transports: [transport] });
        const answer = new Promise<void>((resolve) => sender.socket.emit("say", by, resolve));
        if (by === "acknowledgement") await within(answer, "acknowledgement");
        else await sender.untilReceived("told");
        if (to === "clients") await listener.untilReceived("said");
        else await a.run((ctx) => ctx.store.heard);
      },
    );

    test.each(["process.exit()", "an error that nobody caught"])(
      "what a worker sends right before %s reaches the others",
      async (how) => {
        const { a, b } = await start({ hubOptions });
        const listener = await clients.connectTo(a);
        const asked = a.run((ctx) => new Promise((resolve) => ctx.io.on("last", resolve)));
        // Calls come in order: somebody listens by now.
        await a.run(() => undefined);
        await b.run((ctx, isExit) => {
          setImmediate(() => {
            ctx.io.emit("said");
            ctx.io.serverSideEmit("last", "words");
            if (isExit) process.exit(0);
            throw new Error("nobody catches this");
          });
        }, how === "process.exit()");
        await listener.untilReceived("said");
        expect(await within(asked, "last words")).toBe("words");
      },
    );

    test("a session has the rooms that its client was told of, though its worker is killed in that moment", async () => {
      const { a, b, all } = await startRecovering(link, 2);
      const [client, other] = all as [RecoveringClient, RecoveringClient];
      const { id } = client;
      const listen = async ({ io }: WorkerContext, own: string, others: string) => {
        const { sockets } = io.sockets;
        // The hub knows that the worker wants the room: nobody has to wait.
        await sockets.get(others)?.join("r");
        const socket = sockets.get(own);
        await socket?.join("left");
        socket?.on("change", async (done: () => void) => {
          await socket.join("r");
          await socket.leave("left");
          done();
          process.kill(process.pid, "SIGKILL");
        });
      };
      await a.run(listen, id, other.id);
      const back = client.connected();
      client.goesTo(b.url);
      await within(new Promise<void>((resolve) => client.socket.emit("change", resolve)), "acknowledgement");
      expect(await back).toEqual({ id, recovered: true });
      const rooms = await b.run((ctx, sid) => [...(ctx.io.sockets.sockets.get(sid)?.rooms ?? [])], id);
      expect(new Set(rooms)).toEqual(new Set([id, "r"]));
    });

    test("who heard of the end of his session does not get it back, though its worker is killed in that moment", async () => {
      const { a, b, all } = await startRecovering(link, 1);
      const [client] = all as [RecoveringClient];
      const reason = new Promise((resolve) => client.socket.once("disconnect", resolve));
      await a.run((ctx, sid) => {
        const socket = ctx.io.sockets.sockets.get(sid);
        // Before Socket.IO has done all that belongs to it.
        socket?.once("disconnecting", () => process.kill(process.pid, "SIGKILL"));
        setImmediate(() => socket?.disconnect());
      }, client.id);
      expect(await within(reason, "end of the socket")).toBe("io server disconnect");
      client.goesTo(b.url);
      const back = client.connected();
      client.socket.connect();
      expect(await back).toMatchObject({ recovered: false });
    });
  });
}
