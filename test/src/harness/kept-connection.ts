/** Requests over a connection that a client keeps, as browsers and proxies do. Runs in: tests. */
import { Agent, type IncomingMessage, request } from "node:http";
import { httpRequest, within } from "@holdfast/harness";
import type { RemoteWorker, TestCluster } from "./cluster.js";

export const HANDSHAKE = "/socket.io/?EIO=4&transport=polling";

/** The status of the answer to an upgrade of that session, over the connection that the agent keeps. */
export async function upgradeOver(agent: Agent, url: string, sid: string): Promise<number | undefined> {
  const headers = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
  };
  const upgraded = new Promise<IncomingMessage>((resolve, reject) => {
    request(`${url}/socket.io/?EIO=4&transport=websocket&sid=${sid}`, { agent, headers })
      .on("upgrade", resolve)
      .on("response", resolve)
      .on("error", reject)
      .end();
  });
  const answer = await within(upgraded, "answer to the upgrade");
  answer.socket.destroy();
  return answer.statusCode;
}

/** The id of a session that began on a connection that is kept, and that of another worker's session. */
export interface Kept {
  readonly agent: Agent;
  readonly own: string;
  readonly other: string;
  /** The workers that have the two. */
  readonly ownAt: RemoteWorker;
  readonly otherAt: RemoteWorker;
}

/** So many of them, of a cluster of two workers. */
export async function keptAmid(
  cluster: TestCluster,
  count: number,
  agents: Agent[],
): Promise<{ cluster: TestCluster; all: Kept[] }> {
  const begin = async (agent?: Agent) => {
    const { text } = await httpRequest(`${cluster.url}${HANDSHAKE}`, agent ? { agent } : {});
    return (JSON.parse(text.slice(1)) as { sid: string }).sid;
  };
  const all: Kept[] = [];
  while (all.length < count) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    agents.push(agent);
    const pair = { agent, own: await begin(agent), other: await begin() };
    const atA = await cluster.a.run(
      (ctx, sids) => {
        const { clients: sessions } = ctx.io.engine as unknown as { clients: object };
        return sids.filter((sid) => sid in sessions);
      },
      [pair.own, pair.other],
    );
    const [ownAt, otherAt] = atA[0] === pair.own ? [cluster.a, cluster.b] : [cluster.b, cluster.a];
    if (atA.length === 1) all.push({ ...pair, ownAt, otherAt });
  }
  return { cluster, all };
}
