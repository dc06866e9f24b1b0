/** `holdfast top`: 80 columns of plain text that tell how a cluster is. */
import { execFileSync } from "node:child_process";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { findProgram, Program } from "@holdfast/harness";
import { expect, test } from "vitest";
import { topScreen } from "../../packages/cluster/dist/command-line/top-screen.js";
import { type Simulation, simulateStatus } from "./harness/simulated-status.js";
import { HOLDFAST, Supervised } from "./harness/supervised.js";

/** Gives a program a terminal. */
const script = findProgram({
  name: "script",
  programs: ["script"],
  variable: "SCRIPT_PATH",
  paths: ["/usr/bin/script"],
  cure: "Install Debian's package bsdutils.",
});

test.each<Simulation>([
  { workersPerHost: 1 },
  { workersPerHost: 8, incident: "blocked-worker" },
  { workersPerHost: 8, incident: "crash-loop" },
  { hosts: 4, workersPerHost: 16, clientsPerWorker: 100_000, incident: "redis-away" },
  { hosts: 4, workersPerHost: 2 },
  { hosts: 1, workersPerHost: 64, incident: "reload", name: `a-name-that-is-long-${"x".repeat(90)}` },
])("it fits on a terminal of 80 by 24, and names what is wrong first: %o", (simulation) => {
  const status = simulateStatus(simulation);
  const lines = topScreen(status, 24);
  expect(lines.length).toBeLessThanOrEqual(24);
  for (const line of lines) {
    expect(line.length).toBeLessThanOrEqual(80);
    expect(line).toMatch(/^[\x20-\x7e]*$/);
  }
  const bad = status.hosts.flatMap(({ workers }) => workers.filter(({ health }) => health === "bad"));
  expect(lines.filter((line) => line.startsWith("X "))).toHaveLength(bad.length);
  const head = lines.slice(0, 9).join(" ");
  if (simulation.name === undefined) expect(head).toContain(status.summary);
  if (status.advice !== null) expect(head).toContain(status.advice);
  for (const { name, summary } of status.hosts.slice(1)) expect(head).toContain(`${name}: ${summary}`);
});

test("all is shown where there is room", () => {
  const lines = topScreen(simulateStatus({ workersPerHost: 64 }), 1_000);
  expect(lines.filter((line) => /^ {2}\d+ +ready/.test(line))).toHaveLength(64);
});

test("what a cluster says cannot steer the terminal", () => {
  const lines = topScreen({ ...simulateStatus(), name: "a\x1b[2Jb\nc", summary: "\u202eevil" }, 24);
  expect(lines.join("")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
});

test.skipIf(script === undefined)(
  "on a terminal of any size, a screen has no more lines than it, none goes on in the next, and q ends it",
  async () => {
    const it = await Supervised.start();
    const keys = join(it.home.directory, "keys");
    execFileSync("mkfifo", [keys]);
    try {
      for (const [size, rows] of [
        ["cols 40 rows 8", 8],
        ["cols 200 rows 3", 3],
        ["cols 80 rows 1", 2],
        // Of no size at all, as where nobody has said it.
        ["cols 0 rows 0", 24],
      ] as const) {
        const command = `stty ${size}; exec ${process.execPath} ${HOLDFAST} top`;
        const args = ["-c", `${script} -qefc '${command}' /dev/null <${keys}`];
        const terminal = new Program("sh", args, { env: { ...it.home.env, TERM: "xterm" } });
        const keyboard = createWriteStream(keys);
        try {
          const screens = () => terminal.stdout.split("\x1b[H\x1b[?7l").slice(1);
          await terminal.until("two screens", () => screens().length > 2);
          keyboard.write("q");
          expect(await terminal.end()).toEqual({ code: 0, signal: null });
          for (const screen of screens()) {
            expect(screen.split("\n").length).toBeLessThanOrEqual(rows);
            expect(screen).toContain("\n\x1b[?7h\x1b[J");
          }
        } finally {
          keyboard.destroy();
          await terminal.close();
        }
      }
      const dumb = new Program(
        "sh",
        ["-c", `${script} -qefc '${process.execPath} ${HOLDFAST} top' /dev/null`],
        {
          env: { ...it.home.env, TERM: "dumb" },
        },
      );
      expect(await dumb.end()).toEqual({ code: 0, signal: null });
      expect(dumb.stdout).toContain("2 of 2 workers ready");
      expect(dumb.stdout).not.toContain("\x1b");
    } finally {
      await it.close();
    }
  },
);

test("holdfast top tells of a cluster that runs, whether or not it has an admin server", async () => {
  const it = await Supervised.start();
  try {
    const { stdout, code } = await it.home.holdfast("top", "--once");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^[\w-]+: ./);
    expect(stdout).toMatch(/^2 of 2 workers ready, 0 clients, /m);
    expect(stdout).toMatch(/^ {2}1 +ready /m);
    const wrong = await it.home.holdfast("top", "now");
    expect(wrong.code).toBe(2);
  } finally {
    await it.close();
  }
});
