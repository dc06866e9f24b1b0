/** The path at which a cluster is to listen: what can be wrong with it, and what is left there. */

import { once } from "node:events";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  renameSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { isRoot, NOBODY, Program, skipsWithout } from "@holdfast/harness";
import { describe, expect, onTestFinished, test } from "vitest";
import { startsSupervised } from "./harness/after-each.js";
import { APP, HOLDFAST, type Supervised } from "./harness/supervised.js";

const { launch, home } = startsSupervised();
skipsWithout(isRoot, "Only root can be somebody else. Run the tests as root.");

/** Of a Unix socket's path, without the byte that ends it. */
const MAX_PATH_BYTES = process.platform === "darwin" ? 103 : 107;

/** How its start fails. */
async function refusal(cluster: Supervised) {
  return cluster.primary.run((ctx) =>
    ctx.cluster().then(
      () => undefined,
      ({ code, message, cause }) => ({ code, message, cause: cause?.code }),
    ),
  );
}

/** Leaves a socket on which nobody listens, as a process does that was killed some time ago. */
async function leave(path: string, mode: number): Promise<void> {
  const server = createServer().listen(`${path}-bound`);
  await once(server, "listening");
  renameSync(`${path}-bound`, path);
  chmodSync(path, mode);
  utimesSync(path, 0, 0);
  server.close();
  await once(server, "close");
}

describe("a path", () => {
  test("that is longer than a Unix socket's can be is refused, and nothing is made of its beginning", async () => {
    const own = home();
    const path = join(own.directory, "ä".repeat(MAX_PATH_BYTES / 2));
    const options = { path, control: false };
    const refused = await refusal(await launch({ home: own, options }));
    expect(refused?.code).toBe("HOLDFAST_ERR_INVALID_OPTION");
    expect(refused?.message).toContain(`must be a path of 1 to ${MAX_PATH_BYTES} bytes`);
    expect(readdirSync(own.directory)).toEqual(["how.json"]);
  });

  test("that is as long as can be is listened at", async () => {
    const own = home();
    const path = join(own.directory, "x".repeat(MAX_PATH_BYTES)).slice(0, MAX_PATH_BYTES);
    const cluster = await launch({ home: own, options: { path, workers: 1 } });
    expect(await cluster.status()).toMatchObject({ address: path });
    const after = await cluster.primary.run(async (ctx) => {
      const handle = await ctx.cluster();
      await handle.stop();
      return [handle.address, handle.status().address];
    });
    expect(after).toEqual([undefined, undefined]);
  });

  test.each<[string, (place: string) => string | Promise<string>, cause: string, text: string]>([
    ["in no directory", () => "no/sock", "EACCES", "There is no directory PLACE/no for the socket. Make it"],
    [
      "in a file",
      (place) => {
        writeFileSync(join(place, "file"), "");
        return "file/sock";
      },
      "ENOTDIR",
      "PLACE/file is no directory, so the socket PLACE/file/sock cannot be in it",
    ],
    [
      "of a file",
      (place) => {
        writeFileSync(join(place, "file"), "");
        return "file";
      },
      "EADDRINUSE",
      "There is a file at PLACE/file, where the socket is to be",
    ],
    [
      "of a directory",
      (place) => {
        mkdirSync(join(place, "folder"));
        return "folder";
      },
      "EADDRINUSE",
      "There is a directory at PLACE/folder, where",
    ],
    [
      "of a link that leads nowhere",
      (place) => {
        symlinkSync(join(place, "nowhere"), join(place, "link"));
        return "link";
      },
      "EADDRINUSE",
      "There is a symbolic link at PLACE/link, where",
    ],
    [
      "of a link to a socket that was left",
      async (place) => {
        await leave(join(place, "left"), 0o777);
        symlinkSync("left", join(place, "link"));
        return "link";
      },
      "EADDRINUSE",
      "There is a symbolic link at PLACE/link, where",
    ],
  ])("%s is told as that, and all that is there stays as it is", async (_, prepare, cause, text) => {
    const own = home();
    const place = join(own.directory, "place");
    mkdirSync(place);
    const path = join(place, await prepare(place));
    const before = readdirSync(place);
    const refused = await refusal(await launch({ home: own, options: { path } }));
    expect(refused).toMatchObject({ code: "HOLDFAST_ERR_LISTEN", cause });
    expect(refused?.message).toContain(text.replaceAll("PLACE", place));
    expect(readdirSync(place)).toEqual(before);
  });

  test.each([
    ["where somebody listens", "taken"],
    ["of a link to where somebody listens", "link"],
  ])("%s is left to them", async (_, name) => {
    const own = home();
    const path = join(own.directory, name);
    const theirs = createServer().listen(join(own.directory, "taken"));
    symlinkSync("taken", join(own.directory, "link"));
    const refused = await refusal(await launch({ home: own, options: { path } }));
    expect(refused).toMatchObject({ code: "HOLDFAST_ERR_LISTEN", cause: "EADDRINUSE" });
    expect(refused?.message).toContain(`Somebody else listens on ${path}`);
    theirs.close();
  });

  test("where something is left that another start is about to remove is waited for until a stop", async () => {
    const own = home();
    const path = join(own.directory, "sock");
    await leave(path, 0o777);
    const theirs = createServer((socket) => socket.destroy()).listen(join(own.directory, ".hf-AAAAAA.t"));
    onTestFinished(() => void theirs.close());
    const waits = once(theirs, "connection");
    const args = [HOLDFAST, "run", APP, "--path", path];
    const program = Program.node(args, { env: own.env, cwd: own.directory });
    onTestFinished(() => program.close());
    await waits;
    program.signal("SIGTERM");
    expect(await program.end()).toEqual({ code: 0, signal: null });
    expect(program.output).toBe("");
  });

  test.runIf(process.platform === "linux")(
    "that is no file, where somebody listens, is left to them",
    async () => {
      const path = `\0hf-${process.pid}`;
      const theirs = createServer().listen(path);
      onTestFinished(() => void theirs.close());
      const refused = await refusal(await launch({ options: { path } }));
      expect(refused).toMatchObject({ code: "HOLDFAST_ERR_LISTEN", cause: "EADDRINUSE" });
    },
  );

  test.skipIf(!isRoot).each<[string, (path: string) => Promise<void> | void, cause: string, text: string]>([
    [
      "in a directory that is somebody else's",
      () => {},
      "EACCES",
      "This user may not make a socket in PLACE",
    ],
    [
      "at which a socket is left, in a directory that is somebody else's",
      (path) => leave(path, 0o777),
      "EACCES",
      "This user may not make a socket in PLACE",
    ],
    [
      "at which another user has left a socket, in a directory of all users",
      async (path) => {
        await leave(path, 0o777);
        chmodSync(dirname(path), 0o1777);
      },
      "EPERM",
      "Another user's process has left its socket at PLACE/sock, which this user may not remove. Remove it",
    ],
    [
      "of a socket that is closed to this user",
      (path) => leave(path, 0o700),
      "EADDRINUSE",
      "Somebody else may listen on PLACE/sock, where this user may not ask. Remove it if nobody does",
    ],
  ])("%s is told as that", async (_, prepare, cause, text) => {
    const own = home();
    const place = join(own.directory, "place");
    mkdirSync(place);
    chmodSync(own.directory, 0o755);
    // The first start fails, so there can be another one.
    const cluster = await launch({ home: own, options: { path: join(own.directory, "no", "sock") } });
    await refusal(cluster);
    const path = join(place, "sock");
    await prepare(path);
    const before = readdirSync(place);
    const refused = await cluster.primary.run(
      async (ctx, { path, worker, uid }) => {
        process.setuid?.(uid);
        return ctx
          .startAgain({ worker, path, control: false, log: false })
          .then(() => undefined)
          .catch(({ code, message, cause }) => ({ code, message, cause: cause?.code }));
      },
      { path, worker: APP, uid: NOBODY },
    );
    expect(refused).toMatchObject({ code: "HOLDFAST_ERR_LISTEN", cause });
    expect(refused?.message).toContain(text.replaceAll("PLACE", place));
    expect(readdirSync(place)).toEqual(before);
  });
});
