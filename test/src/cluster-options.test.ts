/** What clusters are called that nobody has named, and values that no option and no order can have. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startsSupervised } from "./harness/after-each.js";

const { start, launch, home } = startsSupervised();

test.each([
  ["日本語", "holdfast"],
  ["übung 1", "bung-1"],
  ["--help", "help"],
])("a cluster in the directory %s is called %s, which is no flag", async (directory, name) => {
  const own = home();
  const cwd = join(own.directory, directory);
  mkdirSync(cwd);
  const cluster = await launch({ home: own, cwd, options: { workers: 1 } });
  expect((await cluster.status()).name).toBe(name);
  expect((await own.holdfast("status", "--name", name)).code).toBe(0);
});

test("scale() refuses with a code what cannot even be shown", async () => {
  const cluster = await start({ options: { workers: 1 } });
  const code = await cluster.primary.run(async (ctx) =>
    (await ctx.cluster()).scale(Object.create(null)).catch((error) => error.code),
  );
  expect(code).toBe("HOLDFAST_ERR_INVALID_OPTION");
});
