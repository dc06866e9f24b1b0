/** Next.js with Socket.IO on its server. On all cores, after `next build`: `node ../primary/primary.js server.js`. */
import { createServer } from "node:http";
import { createAdapter } from "@holdfast/adapter";
import { setupWorker } from "@holdfast/sticky";
import next from "next";
import { Server } from "socket.io";

const app = next({ dir: import.meta.dirname });
await app.prepare();

const httpServer = createServer(app.getRequestHandler());
const io = new Server(httpServer);
io.adapter(createAdapter());
const sticky = setupWorker(io);

io.on("connection", (socket) => {
  socket.emit("worker", process.pid);
  socket.on("say", (text) => io.emit("said", text));
});

const end = () => sticky.drain().then(() => process.exit());
for (const event of ["disconnect", "SIGINT", "SIGTERM", "SIGHUP"]) process.on(event, end);

httpServer.listen(process.env.PORT ?? 3000, () => console.log(`worker ${process.pid} is up`));
