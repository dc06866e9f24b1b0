/**
 * WebSocket clients that are connected and hear next to nothing, as most are. They cost so little that there can be ten
 * thousand. Program: runs as a child of the workload, and ends with it.
 */
import { RawWebSocket } from "../harness/raw-websocket.js";

const AT_ONCE = 50;

const [port, count] = process.argv.slice(2).map(Number) as [number, number];
const clients: RawWebSocket[] = [];

process.once("disconnect", () => process.exit());
process.on("message", () => {
  process.send?.(clients.filter(({ closed }) => closed !== undefined).length);
});

for (let at = 0; at < count; at += AT_ONCE) {
  const next = Array.from({ length: Math.min(AT_ONCE, count - at) }, (_, i) =>
    RawWebSocket.open(port, `40${JSON.stringify({ name: `raw${at + i}`, rooms: [] })}`),
  );
  clients.push(...(await Promise.all(next)));
}
process.send?.("connected");
