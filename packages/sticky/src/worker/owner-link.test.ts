/** What a failure to reach an owner means, and what happens to the requests that wait meanwhile. */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { encodeHello } from "../../dist/wire/link-frame.js";
import { encodeOrigin } from "../../dist/wire/origin.js";
import { AwaitedStreams } from "../../dist/worker/awaited-streams.js";
import type { LinkStreams } from "../../dist/worker/link-streams.js";
import { type Door, OwnerLink, type OwnerLinkHost } from "../../dist/worker/owner-link.js";
import { PrivateServer } from "../../dist/worker/private-server.js";

let home: string;
const releases: (() => void)[] = [];
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "hf-"));
});
afterEach(() => {
  for (const release of releases.splice(0)) release();
  rmSync(home, { recursive: true, force: true });
});

type Fate = "linked" | "gone" | "busy";

function linkTo(host: Partial<OwnerLinkHost>) {
  const troubles: string[] = [];
  let overs = 0;
  const link = new OwnerLink({
    door: () => ({ path: join(home, "1"), secret: "secret", number: 1 }),
    mayLive: async () => false,
    onMissed: () => {},
    onTrouble: (error) => void troubles.push((error as NodeJS.ErrnoException).code ?? error.message),
    onOver: () => overs++,
    ...host,
  });
  releases.push(() => link.close());
  const board = (waitingBytes = 100) => {
    let settle = (_: Fate) => {};
    const fate = new Promise<Fate>((resolve) => {
      settle = resolve;
    });
    const passenger = {
      waitingBytes,
      onLink: () => settle("linked"),
      onUnreachable: (why: "gone" | "busy") => settle(why),
    };
    link.board(passenger);
    return { fate, leave: () => link.leave(passenger) };
  };
  return { link, board, troubles, overs: () => overs };
}

async function listen(
  path = join(home, "1"),
  secret = "secret",
  server = new PrivateServer({ secret, numberOf: () => 1 }, () => undefined, new AwaitedStreams()),
): Promise<Server> {
  const listener = createServer({ allowHalfOpen: true }, (socket) => server.accept(socket));
  releases.push(() => listener.close());
  await once(listener.listen(path), "listening");
  return listener;
}

/** Leaves a socket there as a process does that is killed. */
function leaveSocket(path: string): void {
  const script = `require("net").createServer().listen(${JSON.stringify(path)},()=>process.kill(process.pid,"SIGKILL"))`;
  spawnSync(process.execPath, ["-e", script]);
}

test("a socket that is missing, or that a dead process has left, means that the owner is gone", async () => {
  const missing = linkTo({});
  expect(await missing.board().fate).toBe("gone");
  expect(missing.overs()).toBe(1);
  leaveSocket(join(home, "1"));
  const left = linkTo({});
  expect(await left.board().fate).toBe("gone");
  expect([...missing.troubles, ...left.troubles]).toEqual([]);
});

test("an owner that sends the link away is asked for anew, and what is in progress there goes on", async () => {
  const former = new PrivateServer(
    { secret: "secret", numberOf: () => 1 },
    () => createServer(),
    new AwaitedStreams(),
  );
  await listen(join(home, "1"), "secret", former);
  await listen(join(home, "2"));
  let door = "1";
  const { link, board, overs } = linkTo({
    door: () => ({ path: join(home, door), secret: "secret", number: 1 }),
  });
  const streams = await new Promise<LinkStreams>((resolve) => {
    link.board({ waitingBytes: 0, onLink: resolve, onUnreachable: () => {} });
  });
  const stream = streams.open(
    encodeOrigin({ name: "/", remote: undefined, local: undefined, tls: undefined, passes: 0 }),
  );
  door = "2";
  former.goAway();
  await expect.poll(overs).toBe(1);
  const linked = new Promise<LinkStreams>((resolve) => {
    link.board({ waitingBytes: 0, onLink: resolve, onUnreachable: () => {} });
  });
  expect(await linked).not.toBe(streams);
  expect(stream.ending).toBe("none");
  expect(await board().fate).toBe("linked");
  stream.destroy();
});

test("a socket that is absent for a moment only is looked for again, and nobody is asked", async () => {
  let looks = 0;
  let asked = 0;
  const door = (): Door => {
    if (++looks === 2) void listen();
    return { path: join(home, "1"), secret: "secret", number: 1 };
  };
  const mayLive = async () => ++asked === 0;
  const { board } = linkTo({ door, mayLive });
  expect(await board().fate).toBe("linked");
  expect([looks, asked]).toEqual([2, 0]);
});

test.each(["missing", "nobody's"])(
  "an owner that lives is waited for while its socket is %s",
  async (how) => {
    const path = join(home, "1");
    if (how === "nobody's") leaveSocket(path);
    let asked = 0;
    const mayLive = async () => {
      if (++asked === 3) {
        rmSync(path, { force: true });
        await listen();
      }
      return true;
    };
    const { board, troubles } = linkTo({ mayLive });
    const first = board();
    const second = board();
    expect(await Promise.all([first.fate, second.fate])).toEqual(["linked", "linked"]);
    expect([asked, troubles]).toEqual([3, []]);
  },
);

test("an owner that lives, and does not come back, is not gone: after a while, requests are refused", {
  timeout: 20_000,
}, async () => {
  const { board, overs } = linkTo({ mayLive: async () => true });
  expect(await board().fate).toBe("busy");
  expect(overs()).toBe(1);
});

test("who leaves while it is asked whether the owner lives hears nothing; who comes then does", async () => {
  let answer = (_: boolean) => {};
  let onAsked = () => {};
  const mayLive = () => {
    onAsked();
    return new Promise<boolean>((resolve) => {
      answer = resolve;
    });
  };
  const asked = () =>
    new Promise<void>((resolve) => {
      onAsked = resolve;
    });
  const { board, overs } = linkTo({ mayLive });
  const first = asked();
  const left = board();
  await first;
  left.leave();
  expect(overs()).toBe(1);
  answer(true);
  const second = asked();
  const { fate } = board();
  await second;
  const late = board();
  answer(false);
  expect(await Promise.all([fate, late.fate])).toEqual(["gone", "gone"]);
});

test.each(["EAGAIN", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])(
  "%s passes: requests wait until it has",
  async (code) => {
    await listen();
    let failures = 3;
    const door = (): Door => {
      if (failures-- > 0) throw Object.assign(new Error(code), { code });
      return { path: join(home, "1"), secret: "secret", number: 1 };
    };
    const { board, troubles } = linkTo({ door });
    expect(await board().fate).toBe("linked");
    expect(troubles).toEqual([]);
  },
);

test("what somebody has to mend is told, and requests go on once it is mended", async () => {
  await listen();
  let failures = 2;
  const door = (): Door => {
    if (failures-- > 0) throw Object.assign(new Error("denied"), { code: "EACCES" });
    return { path: join(home, "1"), secret: "secret", number: 1 };
  };
  const { board, troubles } = linkTo({ door });
  expect(await board().fate).toBe("linked");
  expect(troubles).toEqual(["EACCES", "EACCES"]);
});

test("an owner that turns the link away is not gone: after a while, requests are refused", {
  timeout: 20_000,
}, async () => {
  await listen(join(home, "1"), "another secret");
  const { board, troubles } = linkTo({});
  expect(await board().fate).toBe("busy");
  expect(troubles).toEqual(["EPROTO"]);
});

test("those that wait are bounded in number and memory, and leave at once with their clients", async () => {
  // Nobody says welcome.
  const listener = createServer();
  releases.push(() => listener.close());
  await once(listener.listen(join(home, "1")), "listening");
  const { board } = linkTo({});
  const all = Array.from({ length: 10_000 }, () => board());
  expect(await board().fate).toBe("busy");
  for (const each of all) each.leave();
  const large = Array.from({ length: 32 }, () => board(1_048_576));
  expect(await board(1).fate).toBe("busy");
  large[0]?.leave();
  const last = board(1);
  large[1]?.leave();
  expect(
    await Promise.race([last.fate, new Promise((resolve) => setImmediate(() => resolve("waits")))]),
  ).toBe("waits");
});

test("another worker at its path is not taken for it: requests wait", async () => {
  let number: number | undefined = 2;
  const identity = { secret: "secret", numberOf: () => number };
  const server = new PrivateServer(identity, () => undefined, new AwaitedStreams());
  const listener = createServer({ allowHalfOpen: true }, (socket) => server.accept(socket));
  releases.push(() => listener.close());
  await once(listener.listen(join(home, "1")), "listening");
  const { board, troubles } = linkTo({});
  const waits = board();
  for (const next of [undefined, 1]) {
    const [socket] = (await once(listener, "connection")) as [Socket];
    await once(socket, "close");
    number = next;
  }
  expect(await waits.fate).toBe("linked");
  expect(troubles).toEqual([]);
});

test("a link that is closed lets nobody wait", async () => {
  const { link, board } = linkTo({});
  const waits = board();
  link.close();
  expect(await waits.fate).toBe("gone");
  expect(await board().fate).toBe("gone");
});

test("an owner that says nonsense is told of, and requests go on when it makes sense again", async () => {
  const server = new PrivateServer(
    { secret: "secret", numberOf: () => 1 },
    () => undefined,
    new AwaitedStreams(),
  );
  let isSane = false;
  const listener = createServer({ allowHalfOpen: true }, (socket) => {
    if (isSane) server.accept(socket);
    else socket.resume().end("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  releases.push(() => listener.close());
  await once(listener.listen(join(home, "1")), "listening");
  const codes: unknown[] = [];
  const { board } = linkTo({
    onMissed: () => {},
    onTrouble: (error) => {
      codes.push((error as NodeJS.ErrnoException).code);
      isSane = true;
    },
  });
  expect(await board().fate).toBe("linked");
  expect(codes).toEqual(["EPROTO"]);
});

test("a worker that knows the secret and says nonsense is told of; one that does not is not", async () => {
  const codes: unknown[] = [];
  const onTrouble = (error: NodeJS.ErrnoException) => void codes.push(error.code);
  const server = new PrivateServer(
    { secret: "secret", numberOf: () => 1 },
    () => undefined,
    new AwaitedStreams(),
    onTrouble,
  );
  const listener = createServer({ allowHalfOpen: true }, (socket) => server.accept(socket));
  releases.push(() => listener.close());
  await once(listener.listen(join(home, "1")), "listening");
  for (const bytes of [
    "nonsense".repeat(9),
    Buffer.concat([encodeHello("secret", 1), Buffer.from("nonsense".repeat(9))]),
  ]) {
    const socket = connect(join(home, "1"));
    socket.resume().write(bytes);
    await once(socket, "close");
  }
  expect(codes).toEqual(["EPROTO"]);
});
