/** examples/nextjs, which is too large for the workspace: installed, built and run in a project of its own. */
import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { httpRequest } from "@holdfast/harness";
import { afterEach, expect, test } from "vitest";
import { connectAcross, everyoneTalks } from "../harness/conversation.js";
import { Example } from "../harness/example.js";
import { ROOT } from "../harness/markdown.js";
import { makesProjects } from "../harness/packed.js";

const FOLDER = join(ROOT, "examples/nextjs");
const create = makesProjects();
let cluster: Example | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

test("a custom server of Next.js serves its pages and Socket.IO from several workers", async () => {
  const manifest = JSON.parse(await readFile(join(FOLDER, "package.json"), "utf8"));
  const { project } = await create(manifest, {
    "primary.js": await readFile(join(ROOT, "examples/primary/primary.js"), "utf8"),
  });
  await cp(join(FOLDER, "server.js"), join(project.folder, "server.js"));
  await cp(join(FOLDER, "app"), join(project.folder, "app"), { recursive: true });
  await project.run("npm", ["run", "build"]);

  cluster = await Example.start({
    folder: project.folder,
    script: "primary.js",
    args: [join(project.folder, "server.js")],
    env: { NODE_ENV: "production" },
  });
  const { status, text } = await httpRequest(cluster.url);
  expect([status, text]).toEqual([200, expect.stringContaining("Say hello")]);
  await everyoneTalks(await connectAcross(cluster), "hello");
  expect(cluster.stderr).toBe("");
  cluster.signal("SIGTERM");
  expect(await cluster.end()).toEqual({ code: 0, signal: null });
});
