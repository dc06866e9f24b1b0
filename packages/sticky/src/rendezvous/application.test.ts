/** Which processes belong together without a router. */
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ownApplication } from "../../dist/rendezvous/application.js";

const PM2 = {
  pm_id: "0",
  exec_mode: "cluster_mode",
  PM2_HOME: "/home/app/.pm2",
  namespace: "default",
  name: "api",
  pm_exec_path: "/srv/api/app.js",
};

test("under PM2: the instances of one name, whatever daemon has started them", () => {
  const application = ownApplication(PM2, 100);
  expect(ownApplication({ ...PM2, pm_id: "_old_0", NODE_APP_INSTANCE: "3" }, 200)).toEqual(application);
  const others = [
    { name: "web" },
    { namespace: "staging" },
    { PM2_HOME: "/home/other/.pm2" },
    { pm_exec_path: "/srv/copy/app.js" },
  ];
  for (const other of others) {
    const stranger = ownApplication({ ...PM2, ...other }, 100);
    expect(stranger.directoryName).not.toBe(application.directoryName);
    expect(stranger.secret).not.toBe(application.secret);
  }
  // Parts that are put together must not read as others do.
  const shifted = ownApplication({ ...PM2, namespace: "defaul", name: "tapi" }, 100);
  expect(shifted.directoryName).not.toBe(application.directoryName);
});

test("workers of a primary that PM2 runs go by their parent", () => {
  const inherited = { ...PM2, exec_mode: "fork_mode" };
  expect(ownApplication(inherited, process.ppid)).toEqual(ownApplication({}, process.ppid));
});

test("else: the children of one parent, and not of a later process with its number", () => {
  const application = ownApplication({}, process.ppid);
  expect(ownApplication({}, process.ppid)).toEqual(application);
  expect(ownApplication({}, process.pid)).not.toEqual(application);
  // With no start time to be read, the number has to do.
  const unknown = ownApplication({}, 2 ** 30);
  expect(ownApplication({}, 2 ** 30)).toEqual(unknown);
  expect(ownApplication({}, 2 ** 30 + 1)).not.toEqual(unknown);
});

test("the name of the directory tells the user and nothing else, and is short", () => {
  const uid = process.geteuid?.() ?? 0;
  const { directoryName, tag } = ownApplication(PM2);
  expect(directoryName).toMatch(new RegExp(`^holdfast-${uid}-[0-9a-f]{16}$`));
  expect(tag).toMatch(/^[\w-]{6}$/);
});

/** Goes to a directory that is removed then, as one where Node.js was started without a file. */
function goNowhere(): void {
  const [before, gone] = [process.cwd(), mkdtempSync(join(tmpdir(), "hf-"))];
  const { argv } = process;
  onTestFinished(() => {
    process.chdir(before);
    process.argv = argv;
  });
  process.argv = argv.slice(0, 1);
  process.chdir(gone);
  rmdirSync(gone);
}

test("workers whose working directory has been removed are those of their parent, too", () => {
  goNowhere();
  expect(ownApplication({}, 100)).toEqual(ownApplication({}, 100));
  expect(ownApplication({}, 100)).not.toEqual(ownApplication({}, 200));
});
