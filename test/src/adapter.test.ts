import { adapterSuite } from "./adapter-suite.js";

adapterSuite("adapter over pipes", {});
adapterSuite("adapter over pipes, advanced serialization", { serialization: "advanced" });
adapterSuite("adapter over IPC", { hubOptions: { link: "ipc" } });
adapterSuite("adapter over IPC, advanced serialization", {
  hubOptions: { link: "ipc" },
  serialization: "advanced",
});
adapterSuite("adapter over a Unix socket", { hubOptions: { link: "unix" } });
adapterSuite("adapter without interest", { adapterOptions: { interest: false } });
adapterSuite("adapter with connection state recovery", { io: { connectionStateRecovery: {} } });
adapterSuite("adapter with connection state recovery, over a Unix socket", {
  io: { connectionStateRecovery: {} },
  hubOptions: { link: "unix" },
});
adapterSuite("adapter with connection state recovery, over IPC, without interest", {
  io: { connectionStateRecovery: {} },
  hubOptions: { link: "ipc" },
  adapterOptions: { interest: false },
});
