/**
 * A PM2 daemon with a home of its own, steered by PM2's command line as a person would.
 * Owns: the daemon with all that it runs, its home, and a temporary directory for them. Runs in: tests.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, runProgram } from "@holdfast/harness";

const PM2 = createRequire(import.meta.url).resolve("pm2/bin/pm2");
/** PM2 waits for its processes; on a busy machine for a while. */
const COMMAND_MS = 90_000;
const LOOK_MS = 50;

export interface Pm2Process {
  readonly name: string;
  readonly pm_id: number;
  readonly pid: number;
  readonly pm2_env: { readonly status: string };
}

export class Pm2 {
  readonly #base = mkdtempSync(join(tmpdir(), "hf-pm2-"));
  /** The TMPDIR of all processes. */
  readonly directory = join(this.#base, "tmp");
  readonly #home = join(this.#base, "home");
  port = 0;

  static async open(): Promise<Pm2> {
    const pm2 = new Pm2();
    mkdirSync(pm2.directory);
    pm2.port = await freePort();
    return pm2;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Runs a command of PM2's; fails if that does. */
  async run(...args: string[]): Promise<string> {
    return this.#runWith({}, ...args);
  }

  /** @param env added to the environment of the command, and of what it starts */
  async #runWith(env: NodeJS.ProcessEnv, ...args: string[]): Promise<string> {
    const own = {
      PM2_HOME: this.#home,
      TMPDIR: this.directory,
      XDG_RUNTIME_DIR: "",
      PORT: String(this.port),
    };
    const options = { env: { ...own, ...env }, deadlineMs: COMMAND_MS, group: false };
    const { code, stdout, stderr } = await runProgram(process.execPath, [PM2, ...args], options);
    if (code !== 0) throw new Error(`pm2 ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
    return stdout;
  }

  /** Starts an application and waits until all of its processes listen. */
  async start(script: string, ...args: string[]): Promise<void> {
    await this.startWith({}, script, ...args);
  }

  /** @param env added to the environment of what it starts */
  async startWith(env: NodeJS.ProcessEnv, script: string, ...args: string[]): Promise<void> {
    // By itself, PM2 waits for 3 s and 1.6 s, whatever the machine has to do besides.
    const limits = ["--listen-timeout", "60000", "--kill-timeout", "60000"];
    await this.#runWith(env, "start", script, ...limits, ...args);
  }

  async list(): Promise<Pm2Process[]> {
    const text = await this.run("jlist");
    return JSON.parse(text.slice(text.indexOf("[{")) || "[]") as Pm2Process[];
  }

  /** Waits until `find` gives something of the processes, and gives that. */
  async until<T>(
    what: string,
    find: () => T | false | undefined | Promise<T | false | undefined>,
  ): Promise<T> {
    const deadline = performance.now() + COMMAND_MS;
    while (performance.now() < deadline) {
      const found = await find();
      if (found !== false && found !== undefined) return found;
      await new Promise((done) => setTimeout(done, LOOK_MS));
    }
    throw new Error(`no ${what}; the logs are:\n${this.logs()}`);
  }

  /** What the applications have written, of that kind. */
  logs(kind: "out" | "error" | "" = ""): string {
    const folder = join(this.#home, "logs");
    if (!existsSync(folder)) return "";
    const files = readdirSync(folder).filter((file) => file.includes(`-${kind}`));
    return files.map((file) => readFileSync(join(folder, file), "utf8")).join("");
  }

  /** The hub processes of the applications. */
  hubs(): number[] {
    const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    return pids.filter((pid) => this.#isHub(pid)).map(Number);
  }

  /** What the applications have laid out in the temporary directory. */
  files(): string[] {
    try {
      return readdirSync(this.directory, { recursive: true, encoding: "utf8" });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      // A directory was removed while it was read.
      return this.files();
    }
  }

  #isHub(pid: string): boolean {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      return /hub-command\.js$/.test(words[1] ?? "") && words.some((word) => word.startsWith(this.directory));
    } catch {
      // It has ended meanwhile.
      return false;
    }
  }

  /** Ends the daemon and everything that it runs. May be called again. */
  async close(): Promise<void> {
    try {
      if (existsSync(this.#home)) await this.run("kill");
    } finally {
      rmSync(this.#base, { recursive: true, force: true });
    }
  }
}
