/** The reference pages say what the code does: they are up to date, complete, and their options are real. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as adapter from "../../packages/adapter/dist/options.js";
import {
  resolveClusterOptions,
  resolveStopOptions,
} from "../../packages/cluster/dist/supervisor/resolve-options.js";
import { resolveJoinOptions } from "../../packages/cluster/dist/worker/resolve-options.js";
import { resolvePrimaryOptions } from "../../packages/sticky/dist/primary/resolve-options.js";
import {
  resolveDrainOptions,
  resolveWorkerOptions,
} from "../../packages/sticky/dist/worker/resolve-options.js";
import { ROOT, read } from "./harness/markdown.js";

test("what is written from doc comments is up to date", () => {
  const { status, stderr } = spawnSync(process.execPath, [join(ROOT, "scripts/reference.mjs"), "--check"], {
    encoding: "utf8",
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
});

describe.each(["adapter", "sticky", "cluster"])("docs/reference-%s.md", (name) => {
  const page = read(`docs/reference-${name}.md`);
  const source = `packages/${name}/src`;

  test("has every name that the package exports", () => {
    const exported = read(`${source}/index.ts`).match(
      /(?<=[{,\s])(?:type )?\w+(?=,? ?\}|,| as )|(?<= as )\w+/g,
    );
    const names = [...new Set(exported?.map((each) => each.replace("type ", "")))];
    expect(names.length).toBeGreaterThan(10);
    expect(names.filter((each) => !new RegExp(`\\b${each}\\b`).test(page))).toEqual([]);
  });

  test("has every error code, and each is given somewhere", () => {
    const files = readdirSync(join(ROOT, source), { recursive: true, encoding: "utf8" });
    const sources = files.filter((file) => file.endsWith(".ts") && !/errors\.ts$|\.test/.test(file));
    const given = sources.flatMap(
      (file) => read(join(source, file)).match(/(?<=")HOLDFAST_ERR_\w+(?=")/g) ?? [],
    );
    const documented = page.match(/(?<=^### `)HOLDFAST_ERR_\w+/gm) ?? [];
    expect(documented.length).toBeGreaterThan(5);
    expect([...documented].sort()).toEqual([...new Set(given)].sort());
  });
});

interface Documented {
  readonly name: string;
  readonly type: string;
  /** As JavaScript; undefined where the page tells it in words. */
  readonly standard: unknown;
  readonly text: string;
}

function optionsIn(name: string, type: string): Documented[] {
  const [, part = ""] = read(`docs/reference-${name}.md`).split(`<!-- reference: ${type} -->`);
  const [options = ""] = part.split("<!-- end -->");
  return options
    .split(/^### /m)
    .slice(1)
    .map((option) => {
      const match = option.match(/^`(\w+)`\n\nType `(.*?)`, default (.*?)\.\n\n(.*)$/s);
      if (!match) throw new Error(`no option: ${option}`);
      const [, optionName = "", optionType = "", standard = "", text = ""] = match;
      return {
        name: optionName,
        type: optionType,
        standard: literal(standard),
        text: text.replace(/\s+/g, " "),
      };
    });
}

function literal(standard: string): unknown {
  const [, code = ""] = standard.match(/^`(.*?)`/) ?? [];
  try {
    return JSON.parse(code);
  } catch {
    return undefined;
  }
}

type Resolve = (options: object) => object;

/** The file of the workers is required, and has no default. */
function resolveCluster(options: object): object {
  const { worker = import.meta.filename, ...rest } = options as { worker?: string };
  return resolveClusterOptions({ worker, ...rest });
}

describe.each<[name: string, type: string, resolve: Resolve]>([
  ["adapter", "AdapterOptions", adapter.resolveAdapterOptions],
  ["adapter", "PrimaryOptions", adapter.resolvePrimaryOptions],
  ["sticky", "PrimaryOptions", resolvePrimaryOptions],
  ["sticky", "WorkerOptions", resolveWorkerOptions],
  ["sticky", "DrainOptions", resolveDrainOptions],
  ["cluster", "ClusterOptions", resolveCluster],
  ["cluster", "StopOptions", (options) => resolveStopOptions(options, 8_000)],
  ["cluster", "JoinOptions", resolveJoinOptions],
])("%s, %s", (packageName, type, resolve) => {
  const options = optionsIn(packageName, type);
  const resolved = (given: object) => JSON.stringify(resolve(given));
  const expectRefused = (given: object) =>
    expect(() => resolve(given)).toThrow(expect.objectContaining({ code: "HOLDFAST_ERR_INVALID_OPTION" }));

  test("has options", () => {
    expect(options.length).toBeGreaterThan(0);
  });

  test.each(options)("$name is known, and its default is as written", ({ name, standard }) => {
    expect(resolved({ [name]: standard })).toBe(resolved({}));
  });

  test.each(options.filter((option) => option.type === "number"))(
    "$name has the range as written",
    (option) => {
      const { name, text } = option;
      const [, least = "", most = ""] = text.match(/nteger, (\d+)–(\d+|`\w+`)/) ?? [];
      const min = Number(least);
      // A range may end at another option: at its default, here.
      const limit = options.find((other) => `\`${other.name}\`` === most);
      const max = limit ? (limit.standard as number) : Number(most);
      expect(max).toBeGreaterThan(min);
      expect(resolved({ [name]: min })).not.toBe(resolved({ [name]: max }));
      for (const outside of [min - 1, max + 1, min + 0.5]) expectRefused({ [name]: outside });
    },
  );

  test.each(options.filter((option) => option.type.startsWith('"')))(
    "$name takes the words as written",
    (option) => {
      const alternatives = option.type.split(" | ").filter((each) => each.startsWith('"'));
      const words = alternatives.map((word) => JSON.parse(word) as string);
      const results = words.map((word) => resolved({ [option.name]: word }));
      expect(new Set(results).size).toBe(words.length);
      expectRefused({ [option.name]: "another word" });
    },
  );

  test.each(options.filter(({ text }) => / characters/.test(text)))(
    "$name has the length as written",
    (option) => {
      const [, least, most] = option.text.match(/(\d+)–(\d+) characters/) ?? [];
      for (const length of [Number(least), Number(most)]) resolve({ [option.name]: "x".repeat(length) });
      for (const length of [Number(least) - 1, Number(most) + 1])
        expectRefused({ [option.name]: "x".repeat(length) });
    },
  );
});
