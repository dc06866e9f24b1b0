/**
 * What is said on the control socket: one request for each connection, then answers, each a line of JSON.
 * Owns: the format; pure. Runs in: primary, and the command line.
 */
import type { ReloadProgress } from "../reload.js";

/** Version of these messages; each request says its own. */
export const CONTROL_VERSION = 1;

/** A request longer than that is not one. Characters. */
export const MAX_REQUEST_LENGTH = 4_096;

/** What a cluster may be called; also the name of its socket. */
export const NAME = /^(?!\.)[\w.-]{1,64}$/;

export type ControlRequest =
  | { readonly command: "status" }
  /** What `holdfast top` shows. */
  | { readonly command: "live" }
  | { readonly command: "reload" }
  | { readonly command: "rebalance" }
  | { readonly command: "scale"; readonly workers: number }
  | { readonly command: "stop"; readonly timeoutMs: number | undefined };

export type ControlAnswer =
  /** More is to come. */
  | { readonly kind: "progress"; readonly progress: ReloadProgress }
  /** The last word. */
  | { readonly kind: "done"; readonly result: unknown }
  /** The last word. */
  | { readonly kind: "failed"; readonly code: string; readonly message: string };

export function encodeRequest(request: ControlRequest): string {
  return `${JSON.stringify({ version: CONTROL_VERSION, ...request })}\n`;
}

export function encodeAnswer(answer: ControlAnswer): string {
  return `${JSON.stringify(answer)}\n`;
}

/** What a line asks for, or in words what is wrong with it. Never throws. */
export function decodeRequest(line: string): ControlRequest | string {
  const fields = fieldsOf(line);
  if (!fields) return "A request is a JSON object on one line.";
  const { version, command, workers, timeoutMs } = fields;
  if (version !== CONTROL_VERSION) {
    return `This cluster understands version ${CONTROL_VERSION} of the commands. Use the npx holdfast that it was started with.`;
  }
  switch (command) {
    case "status":
    case "live":
    case "reload":
    case "rebalance":
      return { command };
    case "scale":
      return isCount(workers) ? { command, workers } : "scale needs a number of workers.";
    case "stop":
      if (timeoutMs === undefined || isCount(timeoutMs)) return { command, timeoutMs };
      return "The timeout of stop is a number of milliseconds.";
  }
  return "There is no such command.";
}

/** What a line answers; `undefined` if it makes no sense. Never throws. */
export function decodeAnswer(line: string): ControlAnswer | undefined {
  const fields = fieldsOf(line);
  if (!fields) return undefined;
  const { kind, progress, result, code, message } = fields;
  // Only a cluster of the same user answers there, and of the same version.
  if (kind === "progress") return { kind, progress: progress as ReloadProgress };
  if (kind === "done") return { kind, result };
  if (kind === "failed" && typeof code === "string" && typeof message === "string")
    return { kind, code, message };
  return undefined;
}

function fieldsOf(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
