/** Finds the clusters that run, and talks to one. Runs in: the command line. */
import { constants } from "node:fs";
import { connect } from "node:net";
import { closedToSelf } from "../closed-to-self.js";
import { controlSockets, socketName } from "../control/directory.js";
import { wholePath } from "../directories.js";
import { codeOf, messageOf } from "../errors.js";
import { EXIT } from "../exit-codes.js";
import type { ReloadProgress } from "../reload.js";
import type { ClusterStatus } from "../status.js";
import { type ControlRequest, decodeAnswer, encodeRequest } from "../wire/control-messages.js";
import { LineReader } from "../wire/line-reader.js";
import { CommandError } from "./command-error.js";
import { printableLines } from "./printable.js";

/** Answers of hundreds of workers with their last words have to fit. */
const MAX_ANSWER_LENGTH = 16 * 2 ** 20;
/** How long a cluster may take to say what it is. */
const STATUS_MS = 5_000;

/** How the person at the terminal has named it. */
export interface Which {
  readonly name?: string | undefined;
  readonly control?: string | undefined;
}

/** A cluster that answers. */
export interface Found {
  readonly path: string;
  readonly status: ClusterStatus;
}

/** What is wrong with a cluster that is there. */
export interface Problem {
  /** A sentence. */
  readonly text: string;
  /** Of the cluster; `undefined` if it could be any. */
  readonly name: string | undefined;
}

/** What was found at the sockets of clusters. */
export interface Look {
  /** By their names. Those that have been killed do not answer. */
  readonly found: readonly Found[];
  /** What is wrong with each of the others. They hide nobody. */
  readonly problems: readonly Problem[];
}

/** All clusters that are meant. @throws {CommandError} if there is none */
export async function findAll({ name, control }: Which): Promise<Look> {
  if (control === "") throw new CommandError(EXIT.usage, "--control takes the path of a socket.");
  // A path that is a number would be taken for a port.
  const { paths, unreadable } =
    control === undefined ? controlSockets(name) : { paths: [wholeControl(control)], unreadable: [] };
  const looks = (await Promise.all(paths.map(look))).filter((each) => each !== undefined);
  const found = looks.filter((each) => "status" in each);
  const closed = unreadable.map((text) => ({ text, name: undefined }));
  const problems = [...looks.filter((each) => "text" in each), ...closed];
  if (found.length + problems.length === 0)
    throw new CommandError(EXIT.notRunning, notRunning({ name, control }));
  found.sort((a, b) => (a.status.name < b.status.name ? -1 : 1));
  return { found, problems };
}

/** @throws {CommandError} if it is nowhere */
function wholeControl(control: string): string {
  try {
    return wholePath(control, `--control ${control}`);
  } catch (error) {
    throw new CommandError(EXIT.usage, messageOf(error));
  }
}

/** The one cluster that is meant. */
export async function findOne(which: Which): Promise<Found> {
  const { found, problems } = await findAll(which);
  const [first, second] = found;
  if (first && !second && problems.length === 0) return first;
  const texts = problems.map(({ text }) => text);
  // One of them may be meant: who does not answer is busy, and there.
  if (!first) throw new CommandError(EXIT.failed, texts.join("\n"));
  throw new CommandError(EXIT.usage, [...texts, several(found, problems)].join("\n"));
}

/** How to say which one is meant: by names, if each is had once, those of the clusters with problems included. */
function several(found: readonly Found[], problems: readonly Problem[]): string {
  const which = found.length > 1 ? "Several clusters run" : "Another cluster runs";
  const names = found.map(({ status }) => status.name);
  const all = [...names, ...problems.map(({ name }) => name)];
  if (!all.includes(undefined) && new Set(all).size === all.length) {
    return `${which}: ${names.join(", ")}. Say which one with --name.`;
  }
  const places = found.map(({ status, path }) => `${status.name} at ${path}`).join(", ");
  return `${which}: ${places}. Say which one with --control and its path.`;
}

function notRunning({ name, control }: Which): string {
  if (control !== undefined) return `No cluster answers at ${control}.`;
  if (name !== undefined) return `No cluster of this user runs under the name ${name}.`;
  return "No cluster of this user runs.";
}

/** @returns the cluster, or what is wrong with it; `undefined` if nobody is there */
async function look(path: string): Promise<Found | Problem | undefined> {
  const tooLate = AbortSignal.timeout(STATUS_MS);
  try {
    const status = await ask(path, { command: "status" }, () => {}, tooLate);
    return { path, status: status as ClusterStatus };
  } catch (error) {
    const text = tooLate.aborted ? `The cluster at ${path} does not answer.` : whyNot(path, error);
    return text === undefined ? undefined : { text, name: socketName(path) };
  }
}

function whyNot(path: string, error: unknown): string | undefined {
  if (codeOf(error) === "EACCES") {
    return (
      closedToSelf(path, constants.W_OK) ??
      `This user may not use the control socket ${path}. Run the command as the user who runs the cluster.`
    );
  }
  return isMissing(error) ? undefined : `The cluster at ${path}: ${messageOf(error)}`;
}

/**
 * Gives a cluster an order, and waits for its last word.
 * @param signal ends the wait
 */
export function ask(
  path: string,
  request: ControlRequest,
  onProgress: (progress: ReloadProgress) => void,
  signal?: AbortSignal,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, ...(signal && { signal }) }, () => socket.write(encodeRequest(request)));
    const lines = new LineReader(MAX_ANSWER_LENGTH);
    socket.on("error", (error) => reject(isMissing(error) ? error : lost(messageOf(error))));
    socket.on("close", () => reject(lost("it has ended")));
    socket.setEncoding("utf8").on("data", (text: string) => {
      for (const line of lines.push(text) ?? []) {
        const answer = decodeAnswer(line);
        if (answer?.kind === "progress") onProgress(answer.progress);
        else if (answer?.kind === "done") resolve(answer.result);
        else if (answer) reject(new CommandError(EXIT.failed, printableLines(answer.message)));
        // Whoever answers there need not hang up.
        if (answer && answer.kind !== "progress") socket.destroy();
      }
    });
  });
}

function isMissing(error: unknown): boolean {
  return ["ECONNREFUSED", "ENOENT", "ENOTDIR", "EACCES"].includes(codeOf(error));
}

function lost(why: string): CommandError {
  return new CommandError(EXIT.failed, `The cluster did not say what became of it: ${why}.`);
}
