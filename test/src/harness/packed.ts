/**
 * The packages as users get them: packed, and installed from the tarballs into projects of their own.
 * Owns: the folder of the tarballs, and the projects until they are removed. Runs in: tests.
 */
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Manifest, Project, runProgram } from "@holdfast/harness";
import { afterAll, afterEach, beforeAll } from "vitest";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** pnpm takes its time on a busy machine. */
const PACK_MS = 120_000;

export const PACKAGES = ["adapter", "sticky", "cluster"] as const;
export type PackageName = (typeof PACKAGES)[number];

/** Packs a package into a new folder below `folder`; gives the path of the tarball. */
export async function pack(name: PackageName, folder: string): Promise<string> {
  const out = join(folder, "tarballs", name);
  await mkdir(out, { recursive: true });
  const pnpm = join(ROOT, "scripts", "pnpm.mjs");
  const args = [pnpm, "--dir", join(ROOT, "packages", name), "pack", "--pack-destination", out];
  const { stdout, stderr } = await runProgram(process.execPath, args, { deadlineMs: PACK_MS });
  const [file] = await readdir(out);
  if (!file) throw new Error(`@holdfast/${name} was not packed:\n${stdout}${stderr}`);
  return join(out, file);
}

export interface PackedProject {
  readonly project: Project;
  /** What npm had to say. */
  readonly warnings: string;
}

/** Gives the function that makes projects with both packages. They are removed after each test. */
export function makesProjects(): (
  manifest: Manifest,
  files?: Readonly<Record<string, string>>,
) => Promise<PackedProject> {
  const dependencies: Record<string, string> = {};
  const projects = new Set<Project>();
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-packed-"));
    for (const name of PACKAGES) dependencies[`@holdfast/${name}`] = `file:${await pack(name, folder)}`;
  });
  afterEach(async () => {
    for (const project of projects) await project.remove();
    projects.clear();
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  return async (manifest, files) => {
    const project = await Project.create(files);
    projects.add(project);
    const { stderr } = await project.install({
      ...manifest,
      dependencies: { ...manifest.dependencies, ...dependencies },
    });
    return { project, warnings: stderr };
  };
}
