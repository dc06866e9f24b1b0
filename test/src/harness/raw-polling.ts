/** An Engine.IO session over long-polling, by plain HTTP requests, to see what a poll's answer holds. Runs in: tests. */
import type { RemoteWorker } from "./cluster.js";

const SEPARATOR = "\x1e";

export interface RawPolling {
  readonly sid: string;
  /** Of the session's requests. */
  readonly url: string;
  /** The packets of the first poll's answer: what the client hears first of Socket.IO. */
  readonly first: readonly string[];
  /** Sends a poll; settles with the packets of its answer. */
  poll(): Promise<string[]>;
  /** Sends packets. */
  post(body: string): Promise<void>;
  /** Waits until the worker has the poll and could answer it. */
  untilWaiting(worker: RemoteWorker): Promise<void>;
  close(): Promise<void>;
}

export async function openPolling(url: string): Promise<RawPolling> {
  const base = `${url}/socket.io/?EIO=4&transport=polling`;
  const open = await (await fetch(base)).text();
  const { sid } = JSON.parse(open.slice(1)) as { sid: string };
  const session = `${base}&sid=${sid}`;
  const post = async (body: string) => {
    await textOf(await fetch(session, { method: "POST", body }));
  };
  const poll = async () => (await textOf(await fetch(session))).split(SEPARATOR);
  await post("40");
  const first = await poll();
  return {
    sid,
    url: session,
    first,
    poll,
    post,
    untilWaiting: (worker) =>
      worker.run(async (ctx, id) => {
        const { clients } = ctx.io.engine as unknown as {
          clients: Record<string, { transport: { writable: boolean } }>;
        };
        await ctx.until(() => clients[id]?.transport.writable);
      }, sid),
    close: () => post("1"),
  };
}

async function textOf(answer: Response): Promise<string> {
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${answer.status}: ${text}`);
  return text;
}
