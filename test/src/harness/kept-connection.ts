/** Requests over a connection that a client keeps, as browsers and proxies do. Runs in: tests. */
import { type Agent, type IncomingMessage, request } from "node:http";
import { within } from "@holdfast/harness";

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
