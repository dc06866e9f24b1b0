/**
 * Loaders, test runners, bundlers and compilers that users have, each in a project of its own, from the packed
 * packages. They come from the registry, so this is not part of `npm test`: `npm run test:wide`.
 */
import type { Project } from "@holdfast/harness";
import { afterEach, describe, expect, test } from "vitest";
import { connectAcross, everyoneTalks } from "../harness/conversation.js";
import { Example, type ExampleOptions } from "../harness/example.js";
import { makesProjects } from "../harness/packed.js";

const SOCKET_IO = { "socket.io": "4.8.4", "socket.io-adapter": "2.5.8" };
const NODE_TYPES = { "@types/node": "20.19.0" };
const COMPILER_OPTIONS = { target: "ES2022", strict: true, esModuleInterop: true, types: ["node"] };

const create = makesProjects();
let cluster: Example | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

/** The quick start as TypeScript. It runs as an ES module and as CommonJS. */
const MAIN_TS = `
  import cluster from "node:cluster";
  import { createServer } from "node:http";
  import type { AddressInfo } from "node:net";
  import { createAdapter, HoldfastError, setupPrimary } from "@holdfast/adapter";
  import { setupPrimary as setupRouter, setupWorker } from "@holdfast/sticky";
  import { Server } from "socket.io";

  const httpServer = createServer();
  if (cluster.isPrimary) {
    const router = setupRouter(httpServer);
    setupPrimary();
    try {
      setupPrimary();
    } catch (error) {
      if (!(error instanceof HoldfastError && error.code === "HOLDFAST_ERR_ALREADY_SET_UP")) throw error;
    }
    for (let i = 0; i < 2; i++) cluster.fork();
    router.ready(2).then(() => {
      httpServer.listen(0, () => console.log(\`port \${(httpServer.address() as AddressInfo).port}\`));
    });
    process.on("SIGTERM", () => {
      httpServer.close();
      cluster.disconnect();
    });
  } else {
    const io = new Server(httpServer);
    io.adapter(createAdapter());
    const sticky = setupWorker(io);
    io.on("connection", (socket) => {
      socket.emit("worker", process.pid);
      socket.on("say", (text: string) => io.emit("said", text));
    });
    process.on("disconnect", () => void sticky.drain().then(() => process.exit()));
    console.log(\`worker \${process.pid} is up\`);
  }
`;

/** Starts the cluster of a project, and its clients talk to each other across workers. */
async function expectTalk(options: ExampleOptions): Promise<void> {
  cluster = await Example.start(options);
  await everyoneTalks(await connectAcross(cluster), "hello");
  expect(cluster.stderr).toBe("");
}

const binary = ({ folder }: Project, name: string) => `${folder}/node_modules/.bin/${name}`;

describe("test runners", () => {
  /** Both packages load, and their errors are of one class. */
  const SPEC_TS = `
    import { createAdapter, HoldfastError, setupPrimary } from "@holdfast/adapter";
    import { setupWorker } from "@holdfast/sticky";

    test("both packages load and answer", () => {
      expect(typeof createAdapter).toBe("function");
      for (const misuse of [() => setupPrimary({ link: "none" as never }), () => setupWorker({} as never)]) {
        expect(misuse).toThrow(HoldfastError);
      }
    });
  `;

  test("jest 30 with ts-jest, as projects of NestJS have it", async () => {
    const { project } = await create(
      {
        dependencies: {
          ...SOCKET_IO,
          ...NODE_TYPES,
          jest: "30.5.2",
          "ts-jest": "29.4.15",
          typescript: "5.9.3",
          "@types/jest": "30.0.0",
        },
        jest: {
          moduleFileExtensions: ["js", "json", "ts"],
          rootDir: "src",
          testRegex: ".*\\.spec\\.ts$",
          transform: { "^.+\\.(t|j)s$": "ts-jest" },
          testEnvironment: "node",
        },
      },
      {
        "src/app.spec.ts": SPEC_TS,
        "tsconfig.json": JSON.stringify({
          compilerOptions: { ...COMPILER_OPTIONS, module: "commonjs", types: ["node", "jest"] },
        }),
      },
    );
    expect((await project.run("jest", ["--ci"])).stderr).toContain("1 passed");
  });

  test("vitest", async () => {
    const { project } = await create(
      { type: "module", dependencies: { ...SOCKET_IO, vitest: "4.1.12" } },
      { "app.spec.ts": `import { expect, test } from "vitest";${SPEC_TS}` },
    );
    expect((await project.run("vitest", ["run"])).stdout).toContain("1 passed");
  });
});

describe.each(["module", "commonjs"])('a project with "type": "%s"', (type) => {
  test("tsx", async () => {
    const { project } = await create(
      { type, dependencies: { ...SOCKET_IO, tsx: "4.23.15" } },
      { "main.ts": MAIN_TS },
    );
    await expectTalk({ folder: project.folder, command: binary(project, "tsx"), script: "main.ts" });
  });

  test("a bundle of esbuild, deployed alone", async () => {
    const { project } = await create(
      { type, dependencies: { ...SOCKET_IO, esbuild: "0.28.2" } },
      { "main.ts": MAIN_TS },
    );
    // What socket.io gets by require() of Node.js itself needs one in an ES module.
    const banner =
      "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
    const format = type === "module" ? ["--format=esm", `--banner:js=${banner}`] : ["--format=cjs"];
    const args = ["main.ts", "--bundle", "--platform=node", "--outfile=out/bundle.js", ...format];
    const { stderr } = await project.run("esbuild", args);
    expect(stderr).not.toContain("warning");
    await project.run("rm", ["-rf", "node_modules"]);
    await expectTalk({ folder: project.folder, script: "out/bundle.js" });
  });
});

test("ts-node", async () => {
  const { project } = await create(
    { dependencies: { ...SOCKET_IO, ...NODE_TYPES, "ts-node": "10.9.2", typescript: "5.9.3" } },
    {
      "main.ts": MAIN_TS,
      "tsconfig.json": JSON.stringify({ compilerOptions: { ...COMPILER_OPTIONS, module: "commonjs" } }),
    },
  );
  await expectTalk({ folder: project.folder, command: binary(project, "ts-node"), script: "main.ts" });
});

test("Node.js strips the types itself", async () => {
  const { project } = await create(
    { type: "module", dependencies: { ...SOCKET_IO, node: "24.11.1" } },
    { "main.ts": MAIN_TS },
  );
  await expectTalk({ folder: project.folder, command: binary(project, "node"), script: "main.ts" });
});

describe("TypeScript", () => {
  const TYPED_TS = `
    import { createServer } from "node:http";
    import { createAdapter, HoldfastError, type HoldfastErrorCode, setupPrimary } from "@holdfast/adapter";
    import { setupPrimary as setupRouter, setupWorker, type StickyPrimary } from "@holdfast/sticky";
    import { Server } from "socket.io";

    const httpServer = createServer();
    const io = new Server(httpServer);
    io.adapter(createAdapter({ requestsTimeout: 1000, onError: (error) => console.error(error.code) }));
    void setupWorker(io, { name: "web" }).close();
    const router: StickyPrimary = setupRouter(httpServer, { loadBalancingMethod: "hash" });
    const hub = setupPrimary({ link: "ipc" });
    hub.on("leave", ({ workerId, pid }) => console.log(workerId.toFixed(), pid.toFixed()));
    const members: number = hub.stats().members.length + router.stats().workers.length;
    const isOurs = (error: unknown): HoldfastErrorCode | undefined =>
      error instanceof HoldfastError ? error.code : undefined;
    // @ts-expect-error there is no such option
    createAdapter({ timeout: 1000 });
    export { isOurs, members };
  `;
  /** Ways to resolve modules, and what compiles with them. */
  const RESOLUTIONS = {
    node10: { module: "commonjs", files: ["main.ts"] },
    node16: { module: "node16", files: ["main.ts", "main.mts"] },
    nodenext: { module: "nodenext", files: ["main.ts", "main.mts"] },
    bundler: { module: "esnext", files: ["main.ts", "main.mts"] },
  };
  const NEWER = ["node16", "nodenext", "bundler"] as const;
  /** An error in the declarations of a package that is not ours. */
  const isForeign = (line: string) => /^node_modules\/(?!@holdfast\/)/.test(line);

  test.each([
    { typescript: "5.0.4", resolutions: ["node10", ...NEWER] as const },
    { typescript: "5.4.5", resolutions: ["node10", ...NEWER] as const },
    { typescript: "5.9.3", resolutions: ["node10", ...NEWER] as const },
    // It has no node10 any more.
    { typescript: "7.0.2", resolutions: NEWER },
  ])("$typescript, with $resolutions", async ({ typescript, resolutions }) => {
    const { project } = await create(
      { dependencies: { ...SOCKET_IO, ...NODE_TYPES, typescript } },
      { "main.ts": TYPED_TS, "main.mts": TYPED_TS },
    );
    for (const moduleResolution of resolutions) {
      const { module, files } = RESOLUTIONS[moduleResolution];
      const compilerOptions = { ...COMPILER_OPTIONS, module, moduleResolution, noEmit: true };
      const config = `tsconfig.${moduleResolution}.json`;
      await project.write({ [config]: JSON.stringify({ compilerOptions, files }) });
      const { stdout } = await project.attempt("tsc", ["-p", config]);
      // The declarations of engine.io 6.6 need TypeScript 5.7: whoever has an older one skips them.
      expect(stdout.split("\n").filter((line) => line && !isForeign(line))).toEqual([]);
    }
  });
});
