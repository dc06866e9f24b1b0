// What each worker runs: an ordinary Socket.IO server, which also runs alone, with `node app.js`.
import { createServer } from "node:http";
import { joinCluster } from "@holdfast/cluster";
import { Server } from "socket.io";

const httpServer = createServer();
const io = new Server(httpServer, { connectionStateRecovery: {} });
joinCluster(io); // adapter and sticky sessions

io.on("connection", (socket) => {
  socket.emit("worker", process.pid);
  socket.on("say", (text) => io.emit("said", text));
});

httpServer.listen(process.env.PORT ?? 3000, () => console.log(`worker ${process.pid} is up`));
