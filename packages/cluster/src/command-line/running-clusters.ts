/** Finds the clusters that run, and talks to one. Runs in: the command line. */
import { connect } from "node:net";
import { controlSockets } from "../control/directory.js";
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

/** All clusters that answer and are meant, by their names; those that have been killed do not. */
export async function findAll({ name, control }: Which): Promise<Found[]> {
  if (control === "") throw new CommandError(EXIT.usage, "--control takes the path of a socket.");
  const sockets = control === undefined ? controlSockets() : [{ name: control, path: control }];
  const wanted =
    name === undefined || control !== undefined ? sockets : sockets.filter((each) => each.name === name);
  const found = await Promise.all(wanted.map(({ path }) => look(path)));
  const byName = (a: Found, b: Found) => (a.status.name < b.status.name ? -1 : 1);
  return found.flatMap((each) => each ?? []).sort(byName);
}

/** The one cluster that is meant. */
export async function findOne(which: Which): Promise<Found> {
  const found = await findAll(which);
  const [first, second] = found;
  if (!first) throw new CommandError(EXIT.notRunning, notRunning(which));
  if (!second) return first;
  const names = found.map(({ status }) => status.name).join(", ");
  throw new CommandError(EXIT.usage, `Several clusters run: ${names}. Say which one with --name.`);
}

function notRunning({ name, control }: Which): string {
  if (control !== undefined) return `No cluster answers at ${control}.`;
  if (name !== undefined) return `No cluster of this user runs under the name ${name}.`;
  return "No cluster of this user runs.";
}

async function look(path: string): Promise<Found | undefined> {
  const request = ask(path, { command: "status" }, () => {});
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), STATUS_MS);
  });
  try {
    const status = await Promise.race([request, tooLate]);
    // Whoever does not answer is busy, and there: it must not look as if there was no such cluster.
    if (status === undefined) throw new CommandError(EXIT.failed, `The cluster at ${path} does not answer.`);
    return { path, status: status as ClusterStatus };
  } catch (error) {
    if (codeOf(error) === "EACCES") {
      const text = `This user may not use the control socket ${path}. Run the command as the user who runs the cluster.`;
      throw new CommandError(EXIT.failed, text);
    }
    if (isMissing(error)) return undefined;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Gives a cluster an order, and waits for its last word. */
export function ask(
  path: string,
  request: ControlRequest,
  onProgress: (progress: ReloadProgress) => void,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.write(encodeRequest(request)));
    const lines = new LineReader(MAX_ANSWER_LENGTH);
    socket.on("error", (error) => reject(isMissing(error) ? error : lost(messageOf(error))));
    socket.on("close", () => reject(lost("it has ended")));
    socket.setEncoding("utf8").on("data", (text: string) => {
      for (const line of lines.push(text) ?? []) {
        const answer = decodeAnswer(line);
        if (answer?.kind === "progress") onProgress(answer.progress);
        else if (answer?.kind === "done") resolve(answer.result);
        else if (answer) reject(new CommandError(EXIT.failed, printableLines(answer.message)));
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
