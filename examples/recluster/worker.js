// A worker: an ordinary Socket.IO server.
const { createServer } = require("node:http");
const { createAdapter } = require("@holdfast/adapter");
const { setupWorker } = require("@holdfast/sticky");
const { Server } = require("socket.io");

const httpServer = createServer();
const io = new Server(httpServer);

io.adapter(createAdapter());
const sticky = setupWorker(io);

io.on("connection", (socket) => {
  socket.emit("worker", process.pid);
  socket.on("say", (text) => io.emit("said", text));
});

// recluster closes the channel of a worker that has been replaced: its clients go to the new ones. It waits 5 seconds.
const end = () => sticky.drain({ timeout: 4_000 }).then(() => process.exit());
for (const event of ["disconnect", "SIGINT", "SIGTERM", "SIGHUP"]) process.on(event, end);

// The router has the port. This opens none, and tells recluster that the worker is ready.
httpServer.listen(process.env.PORT ?? 3000, () => console.log(`worker ${process.pid} is up`));
