/** A Socket.IO server of one process, as its users write it: the control of a start. Program. */
import { createServer } from "node:http";
import { Server } from "socket.io";

const httpServer = createServer();
const io = new Server(httpServer, { connectionStateRecovery: {} });
io.on("connection", (socket) => {
  socket.emit("worker", process.pid);
  socket.on("say", (text) => io.emit("said", text));
});
httpServer.listen(process.env.PORT);
