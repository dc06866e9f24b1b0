// An application as PM2 runs it: nothing here knows of processes, and nothing needs to.
import { createServer } from "node:http";
import { createAdapter } from "@holdfast/adapter";
import { setupWorker } from "@holdfast/sticky";
import { Server } from "socket.io";

const httpServer = createServer();
const io = new Server(httpServer, { connectionStateRecovery: {} });

io.adapter(createAdapter()); // workers → workers
setupWorker(io); // requests → the worker of their session

io.on("connection", (socket) => {
  socket.emit("worker", process.pid);
  socket.on("say", (text) => io.emit("said", text));
});

httpServer.listen(process.env.PORT ?? 3000, () => console.log(`worker ${process.pid} listens`));
