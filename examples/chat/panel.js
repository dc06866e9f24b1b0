/** The panel of workers: figures once a second, what happened to them, and the buttons. Runs in: workers. */
import { answering, RequestError } from "./input.js";
import { measure } from "./stats.js";

const EVERY_MS = 1_000;
/** Clients that watch the panel are in this room. */
const WATCHERS = "panel";

export function startPanel(io, slot, chat) {
  const figures = measure(io, chat);
  let history = [];

  const report = () => io.to(WATCHERS).emit("worker", { slot, ...figures() });
  setInterval(report, EVERY_MS).unref();

  // The primary tells every worker, and every worker its own clients: that works whoever has just died.
  process.on("message", (message) => {
    if (message?.type !== "chat:history") return;
    history = message.history;
    io.local.to(WATCHERS).emit("history", history);
    if (history.at(-1)?.kind === "died") chat.workerDied();
  });

  // For the example only: a real application gives nobody such a button.
  const kill = (pid) => process.kill(pid, "SIGKILL");
  io.on("kill", (pid) => {
    if (pid === process.pid) kill(pid);
  });

  io.on("connection", (socket) => {
    answering(socket, "watch", async () => {
      await socket.join(WATCHERS);
      return { history };
    });
    answering(socket, "kill", ({ pid }) => {
      if (!Number.isInteger(pid)) throw new RequestError("No such worker.");
      if (pid === process.pid) kill(pid);
      else io.serverSideEmit("kill", pid);
    });
    answering(socket, "reload", () => void process.send({ type: "chat:reload" }));
  });
}
