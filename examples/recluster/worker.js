// A worker: an ordinary Socket.IO server.
const { createServer } = require("node:http");
const { createAdapter } = require("@holdfast/adapter");
const { setupWorker } = require("@holdfast/sticky");
const { Server } = require("socket.io");

const httpServer = createServer();
const io = new Server(httpServer);

io.adapter(createAdapter());
setupWorker(io);

io.on("connection", (socket) => {
  socket.emit("worker", process.pid);
  socket.on("say", (text) => io.emit("said", text));
});

// recluster closes the channel of a worker that has been replaced: its clients go to the new ones.
process.on("disconnect", () => io.close(() => process.exit()));

process.send({ cmd: "ready" });
console.log(`worker ${process.pid} is up`);
