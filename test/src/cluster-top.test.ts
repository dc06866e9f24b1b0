/** `holdfast top`: 80 columns of plain text that tell how a cluster is. */
import { expect, test } from "vitest";
import { topScreen } from "../../packages/cluster/dist/command-line/top-screen.js";
import { type Simulation, simulateStatus } from "./harness/simulated-status.js";
import { Supervised } from "./harness/supervised.js";

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
