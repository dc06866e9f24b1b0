/** A worker: an ordinary Socket.IO server. What makes it part of a cluster is the marked line. */
import { createServer } from "node:http";
import { joinCluster } from "@holdfast/cluster";
import { Server } from "socket.io";
import { startChat } from "./chat.js";
import { servePages } from "./pages.js";
import { startPanel } from "./panel.js";

const httpServer = createServer(servePages);
const io = new Server(httpServer, {
  // Clients come back with their rooms and what they have missed, and on a reload they do not even go.
  connectionStateRecovery: {},
  maxHttpBufferSize: 16 * 1024,
  // A phone that went out of reach should not look present for long.
  pingInterval: 10_000,
  pingTimeout: 10_000,
});
const slot = Number(process.env.HOLDFAST_SLOT) + 1;
joinCluster(io); // the other workers' clients are within reach, and connections come

const chat = startChat(io, slot);
startPanel(io, slot, chat);
