/** Every example runs as its README says, serves real clients from several workers, and ends. */

import { createHash, randomBytes } from "node:crypto";
import { Agent, request } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { findRedisServer, freePort, within } from "@holdfast/harness";
import { io } from "socket.io-client";
import { afterEach, describe, expect, it } from "vitest";
import { connectAcross, everyoneTalks } from "../harness/conversation.js";
import { Example, type ExampleClient } from "../harness/example.js";

let example: Example;

afterEach(async () => {
  // Some tests start other programs.
  await (example as Example | undefined)?.stop();
});

/** Nothing was written to stderr while the example was in use. */
function expectNoComplaint(): void {
  expect(example.stderr).toBe("");
}

/** Kills the worker of the first client; its clients have `moved` when all have another one. */
function killWorkerOf(clients: ExampleClient[]): { killed: number; moved: Promise<unknown> } {
  const killed = (clients[0] as ExampleClient).worker;
  const moved = clients
    .filter(({ worker }) => worker === killed)
    .map((client) => client.until("another worker", () => client.worker !== killed));
  process.kill(killed, "SIGKILL");
  return { killed, moved: Promise.all(moved) };
}

describe.each(["cluster-cjs", "cluster-esm"])("examples/%s", (name) => {
  it("serves clients from several workers, and goes on when one is killed", async () => {
    example = await Example.start({ script: `${name}/server.js` });
    const clients = await connectAcross(example);
    await everyoneTalks(clients, "before");

    const { killed, moved } = killWorkerOf(clients);
    await example.line(new RegExp(`^worker ${killed} is gone$`));
    await example.line(/^worker \d+ is up$/, 3);
    await moved;
    await everyoneTalks(clients, "after");
    expectNoComplaint();
  });
});

describe("examples/cluster", () => {
  it("serves clients from several workers, and goes on when one is killed", async () => {
    example = await Example.start({ script: "cluster/server.js" });
    const clients = await connectAcross(example);
    await everyoneTalks(clients, "before");

    const { killed, moved } = killWorkerOf(clients);
    await example.line(/^worker \d+ is up$/, 3);
    await moved;
    await everyoneTalks(clients, "after");
    expect(example.stderr).toMatch(
      new RegExp(`^holdfast: worker \\d \\(pid ${killed}\\) ended: SIGKILL\\n$`),
    );
  });

  it("gives everyone a new worker on SIGHUP, and ends on SIGTERM", async () => {
    example = await Example.start({ script: "cluster/server.js" });
    const clients = await connectAcross(example);
    const old = new Set(clients.map(({ worker }) => worker));
    const moved = clients.map((client) => client.until("a new worker", () => !old.has(client.worker)));
    example.signal("SIGHUP");
    await Promise.all(moved);
    await example.writes("reloaded 2 workers");
    await everyoneTalks(clients, "after");
    example.signal("SIGTERM");
    expect(await example.end()).toEqual({ code: 0, signal: null });
  });

  it("its second file runs alone, too", async () => {
    const port = await freePort();
    example = new Example({ script: "cluster/app.js", env: { PORT: String(port) } });
    await example.line(/^worker \d+ is up$/);
    example.port = port;
    const clients = [await example.connect("websocket"), await example.connect("polling")];
    await everyoneTalks(clients, "alone");
    expectNoComplaint();
  });
});

describe("examples/many-hosts", () => {
  it.skipIf(!findRedisServer())(
    "serves clients from two hosts, whichever a request reaches, and ends",
    async () => {
      example = await Example.start({ script: "many-hosts/server.js" }, 4);
      const clients = await connectAcross(example);
      await everyoneTalks(clients, "across hosts");
      example.signal("SIGTERM");
      expect(await example.end()).toEqual({ code: 0, signal: null });
    },
  );
});

describe("examples/recluster", () => {
  it("serves clients from several workers, and goes on when one is killed", async () => {
    example = await Example.start({ script: "recluster/primary.js" });
    const clients = await connectAcross(example);
    await everyoneTalks(clients, "before");

    const { moved } = killWorkerOf(clients);
    await example.line(/^worker \d+ is up$/, 3);
    await moved;
    await everyoneTalks(clients, "after");
    expectNoComplaint();
  });

  it("moves everyone to new workers when it is reloaded", async () => {
    example = await Example.start({ script: "recluster/primary.js" });
    const clients = await connectAcross(example);
    const old = new Set(clients.map(({ worker }) => worker));
    const moved = clients.map((client) => client.until("a new worker", () => !old.has(client.worker)));
    example.signal("SIGUSR2");
    await example.line(/^reloaded$/);
    await Promise.all(moved);
    await everyoneTalks(clients, "after");
    expect(example.count(/^worker \d+ is up$/)).toBe(4);
    expectNoComplaint();
  });
});

describe("examples/express", () => {
  it("takes requests and uploads over keep-alive beside its clients", async () => {
    example = await Example.start({ script: "express/server.js" });
    const clients = await connectAcross(example);
    const uploaded = clients.map(
      ({ socket }) =>
        new Promise<unknown>((resolve) => {
          socket.once("uploaded", resolve);
        }),
    );
    const file = randomBytes(5_000_000);
    const expected = { bytes: file.length, sha256: createHash("sha256").update(file).digest("hex") };

    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    try {
      const page = await send(agent, "GET", "/");
      const upload = await send(agent, "POST", "/upload", file);
      const again = await send(agent, "POST", "/upload", file.subarray(0, 10));
      expect(upload.body).toMatchObject(expected);
      expect(again.body).toMatchObject({ bytes: 10 });
      expect([upload.from, again.from]).toEqual([page.from, page.from]);
    } finally {
      agent.destroy();
    }
    expect(await within(Promise.all(uploaded), "news of the upload")).toEqual(clients.map(() => expected));
    await everyoneTalks(clients, "after");
    expectNoComplaint();
  });
});

describe("examples/chat", () => {
  const READY = /^Chat on (\S+) \(primary \d+, (\d+) workers\)/;
  const chat = (args: string[], env: NodeJS.ProcessEnv = {}) =>
    new Example({ script: "chat/server.js", args: ["--host", "127.0.0.1", ...args], env });

  it.each([
    {
      args: ["--port", "80x"],
      env: {},
      complaint: '--port must be a whole number from 0 to 65535, not "80x".',
    },
    {
      args: [],
      env: { PORT: "65536" },
      complaint: 'PORT must be a whole number from 0 to 65535, not "65536".',
    },
    { args: ["-w", "0"], env: {}, complaint: '--workers must be a whole number from 1 to 128, not "0".' },
    {
      args: [],
      env: { WORKERS: "-1" },
      complaint: 'WORKERS must be a whole number from 1 to 128, not "-1".',
    },
    { args: ["--prot", "1"], env: {}, complaint: "Unknown option '--prot'" },
  ])("explains $args $env and exits with 2", async ({ args, env, complaint }) => {
    example = chat(args, env);
    expect(await example.end()).toEqual({ code: 2, signal: null });
    expect(example.stderr).toContain(complaint);
    expect(example.stderr).toContain("Usage:");
  });

  it("takes flags before the environment, and shows its usage", async () => {
    example = chat(["--port", "0", "--workers", "3"], { PORT: "1", WORKERS: "1" });
    expect((await example.line(READY))[2]).toBe("3");
    await example.stop();
    example = chat(["--help"]);
    expect(await example.end()).toEqual({ code: 0, signal: null });
    expect(example.output).toContain("Usage:");
  });

  it("says that the port is in use and exits with 1", async () => {
    const squatter = createServer().listen(0, "127.0.0.1");
    try {
      await within(new Promise<void>((resolve) => squatter.once("listening", resolve)), "a taken port");
      const { port } = squatter.address() as AddressInfo;
      example = chat(["--port", String(port)]);
      expect(await example.end()).toEqual({ code: 1, signal: null });
      expect(example.stderr).toContain(`Port ${port} is in use.`);
    } finally {
      squatter.close();
    }
  });

  it("is reloaded by SIGHUP", async () => {
    example = chat([]);
    await example.line(READY);
    example.signal("SIGHUP");
    await example.line(/^reloaded 2 workers in /);
    expectNoComplaint();
  });

  it.each(["SIGINT", "SIGTERM"] as const)("ends with everything it started on %s", async (signal) => {
    example = chat([]);
    await example.line(READY);
    // Ctrl+C reaches every process of the group, `kill` only the primary.
    process.kill(signal === "SIGTERM" ? example.pid : -example.pid, signal);
    expect(await example.end()).toEqual({ code: 0, signal: null });
    expectNoComplaint();
  });

  it("is not impressed by nonsense from clients", async () => {
    example = chat(["--workers", "1"]);
    const [, url] = await example.line(READY);
    const nonsense: unknown[] = [
      undefined,
      null,
      7,
      "x",
      [],
      {},
      { room: {} },
      { room: "r".repeat(25) },
      { pid: "1" },
    ];
    const auths: unknown[] = [
      undefined,
      null,
      7,
      "x",
      [1],
      { name: {}, rooms: 7 },
      { name: "", rooms: [{}, null] },
    ];
    for (const auth of auths) {
      const socket = io(url, {
        transports: ["websocket"],
        forceNew: true,
        auth: (send) => send(auth as object),
      });
      socket.connect();
      const closed = new Promise<void>((resolve) => socket.once("disconnect", () => resolve()));
      const welcome = new Promise<void>((resolve) => socket.once("welcome", () => resolve()));
      await within(Promise.race([welcome, closed]), `welcome or refusal of ${JSON.stringify(auth)}`);
      for (const event of ["join", "leave", "rename", "say", "kill", "watch", "presence"]) {
        for (const value of nonsense) socket.emit(event, value);
        socket.emit(event);
      }
      if (socket.connected) await within(socket.emitWithAck("join", { room: "Tea " }), "a room");
      socket.disconnect();
    }
    expectNoComplaint();
  });

  it("leaves no worker behind when the primary is killed", async () => {
    example = chat([]);
    await example.line(READY);
    example.signal("SIGKILL");
    expect(await example.end()).toEqual({ code: null, signal: "SIGKILL" });
  });
});

/** Sends a request and gives the answer, and the local port: equal ports are one connection. */
async function send(agent: Agent, method: string, path: string, body?: Buffer) {
  return within(
    new Promise<{ body: unknown; from: number }>((resolve, reject) => {
      const sent = request(example.url + path, { agent, method }, (response) => {
        const { port: from } = response.socket.address() as AddressInfo;
        const chunks: Buffer[] = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("end", () => resolve({ body: JSON.parse(Buffer.concat(chunks).toString()), from }));
        response.on("error", reject);
      });
      sent.on("error", reject);
      sent.end(body);
    }),
    `answer to ${method} ${path}`,
  );
}
