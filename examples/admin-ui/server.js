/** The admin UI of Socket.IO, which sees all workers: open https://admin.socket.io and connect it to this server. */
import { createServer } from "node:http";
import { createAdapter } from "@holdfast/adapter";
import { setupWorker } from "@holdfast/sticky";
import { instrument } from "@socket.io/admin-ui";
import { Server } from "socket.io";

const httpServer = createServer();
const io = new Server(httpServer, { cors: { origin: ["https://admin.socket.io"], credentials: true } });
io.adapter(createAdapter());
// After the adapter: in development mode, it listens to the adapters that it finds.
instrument(io, { auth: false, mode: process.env.MODE ?? "development" });
const sticky = setupWorker(io);

io.on("connection", (socket) => {
  socket.emit("worker", process.pid);
  socket.on("say", (text) => io.emit("said", text));
});

const end = () => sticky.drain().then(() => process.exit());
for (const event of ["disconnect", "SIGINT", "SIGTERM", "SIGHUP"]) process.on(event, end);

httpServer.listen(process.env.PORT ?? 3000, () => console.log(`worker ${process.pid} is up`));
