/** A worker: an ordinary Socket.IO server. What makes it part of a cluster are the two marked lines. */
import { createServer } from "node:http";
import { createAdapter } from "@holdfast/adapter";
import { setupWorker } from "@holdfast/sticky";
import { Server } from "socket.io";
import { startChat } from "./chat.js";
import { servePages } from "./pages.js";
import { startPanel } from "./panel.js";

export function startWorker() {
  const slot = Number(process.env.CHAT_SLOT);
  const httpServer = createServer(servePages);
  const io = new Server(httpServer, {
    maxHttpBufferSize: 16 * 1024,
    // A phone that went out of reach should not look present for long.
    pingInterval: 10_000,
    pingTimeout: 10_000,
  });
  io.adapter(createAdapter()); // the other workers' clients are within reach
  const sticky = setupWorker(io); // this worker's connections come from the primary

  const chat = startChat(io, slot);
  startPanel(io, slot, chat);

  // Ctrl+C and a closed terminal reach the whole process group; the primary decides when the workers go.
  for (const signal of ["SIGINT", "SIGHUP"]) process.on(signal, () => {});
  process.on("SIGTERM", () => sticky.drain({ timeout: 2_000 }).then(() => process.exit(0)));
}
