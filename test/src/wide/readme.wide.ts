/** The README's way to install, word for word, in a copy of the working tree. */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { Project } from "@holdfast/harness";
import { afterEach, expect, test } from "vitest";
import { ROOT, read } from "../harness/markdown.js";

let project: Project | undefined;

afterEach(async () => {
  await project?.remove();
  project = undefined;
});

/** The commands under a heading, each line one. */
function commandsOf(heading: string): string[] {
  const [, section = ""] = read("README.md").split(new RegExp(`^## ${heading}$`, "m"));
  const text = (section.split(/^## /m)[0] ?? "").replaceAll(/\\\n */g, "");
  return [...text.matchAll(/^ {4}(\S.*)$/gm)].map(([, command = ""]) => command);
}

test("the packages are built, packed and installed as it says, without a warning", async () => {
  const [published, build, pack, install] = commandsOf("Install");
  expect(published).toMatch(/^npm install @holdfast\/cluster socket\.io$/);
  project = await Project.create({ "app/package.json": "{}" });
  const { stdout: files } = await new Project(ROOT).run("git", [
    "ls-files",
    "-co",
    "--exclude-standard",
    "-z",
  ]);
  for (const file of files.split("\0").filter(Boolean)) {
    await cp(join(ROOT, file), join(project.folder, "holdfast", file));
  }
  await project.run("sh", ["-ec", `cd holdfast; ${build}; ${pack}`]);

  const { stdout, stderr } = await project.run("sh", ["-ec", `cd app; ${install}`]);
  expect(stdout).toMatch(/^\s*added \d+ packages/);
  expect(stderr).toBe("");
  const load =
    'for (const name of ["adapter", "sticky", "cluster"]) console.log(typeof require("@holdfast/" + name))';
  expect((await new Project(join(project.folder, "app")).run("node", ["-e", load])).stdout).toBe(
    "object\n".repeat(3),
  );
});
