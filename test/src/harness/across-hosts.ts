/** Clients that begin their sessions at one host and have their WebSockets by another. Runs in: tests. */
import { openPolling } from "./raw-polling.js";
import { clientFrame, RawWebSocket } from "./raw-websocket.js";
import type { RecoveringClient, RecoveringClients } from "./recovering-client.js";
import { ROOM, untilUpgraded } from "./speaking.js";

interface Host {
  readonly url: string;
  readonly port: number;
}

export async function connectAcross(
  clients: RecoveringClients,
  here: Host,
  there: Host,
): Promise<RecoveringClient> {
  const client = await clients.connect(here.url, {
    transports: ["polling", "websocket"],
    transportOptions: { websocket: { port: there.port } },
  });
  await untilUpgraded(client);
  await client.socket.emitWithAck("join", ROOM);
  return client;
}

/** The same, with bytes of the test's own. @param port where the WebSocket comes to */
export async function upgradeAcross(here: Pick<Host, "url">, port: number): Promise<RawWebSocket> {
  const { sid } = await openPolling(here.url);
  const socket = await RawWebSocket.probe(port, sid);
  socket.send(clientFrame("2probe"));
  await socket.untilMessage((message) => message === "3probe");
  socket.send(clientFrame("5"));
  return socket;
}
