/**
 * A project as a user has one: a folder somewhere else, with files, what npm installs there, and programs that run in
 * it. Owns: the folder. Runs in: tests.
 */
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { type Result, runProgram } from "./program.js";

/** A registry may be slow. Milliseconds. */
const DEADLINE_MS = 300_000;

/** What a test runner sets for itself is not for the programs of a user's project. */
const FOREIGN = /^(NODE_OPTIONS|NODE_ENV|NODE_PATH|TEST|VITEST.*|npm_.*)$/i;

export interface Manifest {
  /** From the registry with exact versions, or from tarballs. */
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

export class Project {
  readonly folder: string;

  /** @param folder a folder that is there */
  constructor(folder: string) {
    this.folder = folder;
  }

  /** @param files texts by path */
  static async create(files: Readonly<Record<string, string>> = {}): Promise<Project> {
    const project = new Project(await realpath(await mkdtemp(join(tmpdir(), "project-"))));
    await project.write(files);
    return project;
  }

  /** This process's environment, without what the test runner has put there, and with the project's programs. */
  get env(): NodeJS.ProcessEnv {
    const foreign = Object.keys(process.env).filter((name) => FOREIGN.test(name));
    const path = [join(this.folder, "node_modules", ".bin"), process.env.PATH].join(delimiter);
    return { ...Object.fromEntries(foreign.map((name) => [name, undefined])), PATH: path };
  }

  async write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(this.folder, path)), { recursive: true });
      await writeFile(join(this.folder, path), text);
    }
  }

  /** Installs what the manifest says; gives what npm wrote, warnings included. */
  async install(manifest: Manifest): Promise<Result> {
    await this.write({ "package.json": JSON.stringify({ private: true, ...manifest }) });
    return this.run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=warn"]);
  }

  /** Runs a program in the folder until it ends, well or not. */
  async attempt(command: string, args: readonly string[] = []): Promise<Result> {
    return runProgram(command, args, { cwd: this.folder, env: this.env, deadlineMs: DEADLINE_MS });
  }

  /** Runs a program in the folder until it ends. It must not fail; what it printed is in the error. */
  async run(command: string, args: readonly string[] = []): Promise<Result> {
    const result = await this.attempt(command, args);
    if (result.code === 0) return result;
    throw new Error(`${command} ${args.join(" ")} failed:\n${result.stdout}${result.stderr}`);
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
