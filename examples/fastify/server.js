/** Fastify with Socket.IO on its server. On all cores: `node ../primary/primary.js server.js`. */
import { createAdapter } from "@holdfast/adapter";
import { setupWorker } from "@holdfast/sticky";
import Fastify from "fastify";
import { Server } from "socket.io";

const app = Fastify();
const io = new Server(app.server);
io.adapter(createAdapter());
const sticky = setupWorker(io);

app.get("/", () => ({ worker: process.pid }));

io.on("connection", (socket) => {
  socket.emit("worker", process.pid);
  socket.on("say", (text) => io.emit("said", text));
});

const end = () => sticky.drain().then(() => process.exit());
for (const event of ["disconnect", "SIGINT", "SIGTERM", "SIGHUP"]) process.on(event, end);

// With a host: by default Fastify listens on two addresses of "localhost", and the second one has no router.
await app.listen({ port: Number(process.env.PORT ?? 3000), host: "0.0.0.0" });
console.log(`worker ${process.pid} is up`);
