/**
 * Checks the options of `startCluster()`, once, and fills in the defaults.
 * Owns: the defaults and the ranges. Runs in: primary.
 */
import { existsSync } from "node:fs";
import { url as inspectorUrl } from "node:inspector";
import { createRequire } from "node:module";
import { Server as NetServer } from "node:net";
import { availableParallelism } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { PrimaryOptions as HubOptions } from "@holdfast/adapter";
import type { PrimaryOptions as RouterOptions } from "@holdfast/sticky";
import { isLoopback } from "../admin/loopback.js";
import { MAX_SOCKET_PATH_BYTES } from "../control/socket-file.js";
import { currentDirectory, isDirectory, wholePath, wholePathIfAny } from "../directories.js";
import { HoldfastError, messageOf } from "../errors.js";
import { isPlainObject, MAX_TIMER_MS, OptionReader } from "../option-reader.js";
import type { AdminOptions, ClusterOptions, StopOptions } from "../options.js";
import { NAME } from "../wire/control-messages.js";

const DEFAULT_PORT = 3_000;
const DEFAULT_ADMIN_PORT = 9_090;
export const MAX_WORKERS = 512;
const HANG_MS = 30_000;
const SOCKET_PATH = `a path of 1 to ${MAX_SOCKET_PATH_BYTES} bytes from the root on, because that is all that a Unix socket's address holds`;

export interface ListenPlace {
  readonly port: number;
  /** `undefined` for all addresses. */
  readonly host: string | undefined;
  /** Of a Unix socket, in place of both. */
  readonly path: string | undefined;
}

export interface ResolvedAdminOptions {
  readonly port: number;
  readonly host: string;
  readonly token: string | undefined;
}

export interface ResolvedClusterOptions {
  readonly worker: string;
  readonly args: readonly string[];
  readonly execArgv: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string | undefined;
  /** The working directory of this process now; `undefined` if it has been removed. */
  readonly startedIn: string | undefined;
  /** Where to listen; `undefined` if the application does that. */
  readonly listen: ListenPlace | undefined;
  readonly server: NetServer | undefined;
  readonly workers: number;
  readonly name: string | undefined;
  readonly control: boolean | string;
  readonly admin: ResolvedAdminOptions | undefined;
  /** What is in these two is checked by the packages that they are for. */
  readonly adapter: HubOptions;
  readonly sticky: RouterOptions;
  readonly readyTimeoutMs: number;
  readonly hangTimeoutMs: number;
  readonly restartDelayMs: number;
  readonly maxRestartDelayMs: number;
  readonly minUptimeMs: number;
  readonly maxCrashes: number;
  readonly drainTimeoutMs: number;
  readonly stopTimeoutMs: number;
  readonly signals: boolean;
  readonly log: (line: string) => void;
}

export function resolveClusterOptions(input: ClusterOptions): ResolvedClusterOptions {
  const options = new OptionReader("startCluster", input);
  const { listen, server } = readPlace(options);
  return options.end({
    worker: workerPath(options.value<string | URL>("worker", "", isFileName, "the path or URL of a file")),
    args: options.value("args", [], isListOfStrings, "an array of strings"),
    execArgv: options.value("execArgv", undefined, isOptionalList, "an array of strings"),
    env: options.value("env", {}, isEnvironment, "an object of strings"),
    cwd: whole(
      options.value<string | undefined>(
        "cwd",
        undefined,
        isOptionalDirectory,
        "the path of a directory that is there",
      ),
    ),
    startedIn: currentDirectory(),
    listen,
    server,
    workers: options.integer("workers", Math.min(availableParallelism(), MAX_WORKERS), 1, MAX_WORKERS),
    name: options.value("name", undefined, isName, "1–64 letters, digits, dots, underscores and hyphens"),
    control: whole(
      options.value<boolean | string>("control", true, isControl, "true, false, or the path of a socket"),
    ),
    admin: resolveAdminOptions(
      options.value<boolean | AdminOptions>("admin", false, isAdmin, "a boolean or an object"),
    ),
    adapter: options.value<HubOptions>("adapter", {}, isPlainObject, "an object of options"),
    sticky: options.value<RouterOptions>("sticky", {}, isPlainObject, "an object of options"),
    readyTimeoutMs: options.integer("readyTimeout", 30_000, 1, MAX_TIMER_MS),
    hangTimeoutMs: options.integer("hangTimeout", isDebugged() ? 0 : HANG_MS, 0, MAX_TIMER_MS),
    restartDelayMs: options.integer("restartDelay", 250, 0, MAX_TIMER_MS),
    maxRestartDelayMs: options.integer("maxRestartDelay", 15_000, 0, MAX_TIMER_MS),
    minUptimeMs: options.integer("minUptime", 10_000, 0, MAX_TIMER_MS),
    maxCrashes: options.integer("maxCrashes", 10, 1, 1_000_000),
    drainTimeoutMs: options.integer("drainTimeout", 10_000, 0, MAX_TIMER_MS),
    stopTimeoutMs: options.integer("stopTimeout", 8_000, 0, MAX_TIMER_MS),
    signals: options.boolean("signals", true),
    log: options.value("log", toStderr, isLog, "a function or false") || (() => {}),
  });
}

export function resolveStopOptions(input: StopOptions = {}, fallbackMs: number): { timeoutMs: number } {
  const options = new OptionReader("stop", input);
  return options.end({ timeoutMs: options.integer("timeout", fallbackMs, 0, MAX_TIMER_MS) });
}

function resolveAdminOptions(input: boolean | AdminOptions): ResolvedAdminOptions | undefined {
  if (input === false) return undefined;
  const options = new OptionReader<AdminOptions>("startCluster({ admin })", input === true ? {} : input);
  const resolved = options.end({
    port: options.integer("port", DEFAULT_ADMIN_PORT, 0, 65_535),
    host: options.string("host", "127.0.0.1", 1),
    token: options.value("token", undefined, isToken, "16 to 1024 printable ASCII characters without spaces"),
  });
  if (resolved.token !== undefined || isLoopback(resolved.host)) return resolved;
  throw new HoldfastError(
    "HOLDFAST_ERR_INVALID_OPTION",
    `The admin server on ${resolved.host} can be reached from other hosts, so it needs the option "token".`,
  );
}

function isAdmin(value: unknown): value is boolean | AdminOptions {
  return typeof value === "boolean" || isPlainObject(value);
}

function isToken(value: unknown): value is string | undefined {
  return value === undefined || (typeof value === "string" && /^[\x21-\x7e]{16,1024}$/.test(value));
}

function readPlace(options: OptionReader<ClusterOptions>) {
  const server = options.value("server", undefined, isServer, "an http.Server or net.Server");
  const port = options.value("port", undefined, isPort, "an integer from 0 to 65535");
  const host = options.string("host", undefined, 1);
  const path = wholeSocketPath(
    options.value<string | undefined>("path", undefined, isSocketPath, SOCKET_PATH),
  );
  if (server && (port ?? host ?? path) !== undefined) {
    throw new HoldfastError(
      "HOLDFAST_ERR_INVALID_OPTION",
      'The option "server" of startCluster() takes the place of port, host and path: call its listen() yourself.',
    );
  }
  if (path !== undefined && (port ?? host) !== undefined) {
    throw new HoldfastError(
      "HOLDFAST_ERR_INVALID_OPTION",
      'The option "path" of startCluster() takes the place of port and host: give it one or the other.',
    );
  }
  return { server, listen: server ? undefined : { port: port ?? DEFAULT_PORT, host, path } };
}

/** The application may change the working directory; each worker and each look at a file comes later. */
function whole<T>(value: T): T | string {
  return typeof value === "string" ? wholePath(value) : value;
}

/** A pipe of Windows is in no directory, nor is what begins with a zero, on Linux. */
function wholeSocketPath<T extends string | undefined>(path: T): T | string {
  return process.platform === "win32" || path?.startsWith("\0") ? path : whole(path);
}

/** The whole path of the file that the workers run, seen from the file that Node.js was started with. */
function workerPath(worker: string | URL): string {
  const [beside, path] = worker instanceof URL ? [pathOf(worker), pathOf(worker)] : placesOf(worker);
  const found = existsSync(beside) ? beside : path;
  const fault = existsSync(found)
    ? faultOfDirectory(found)
    : `There is no file ${beside} for the workers to run.`;
  if (fault === undefined) return found;
  throw new HoldfastError(
    "HOLDFAST_ERR_WORKER_FILE",
    `${fault} Give the option "worker" the path of the file that calls joinCluster(io).`,
  );
}

function placesOf(worker: string): readonly [string, string] {
  const [, main] = process.argv;
  const from = main === undefined ? "." : dirname(main);
  const beside = wholePath(isAbsolute(worker) ? worker : join(from, worker));
  return [beside, wholePathIfAny(worker) ?? beside];
}

/** Not each URL of a file has a path. */
function pathOf(url: URL): string {
  try {
    return fileURLToPath(url);
  } catch (error) {
    throw new HoldfastError(
      "HOLDFAST_ERR_INVALID_OPTION",
      `The option "worker" of startCluster() is ${url.href}, which is no file of this machine: ${messageOf(error)}.`,
      { cause: error },
    );
  }
}

/** Node.js can run a directory, if that says what is meant. */
function faultOfDirectory(path: string): string | undefined {
  if (!isDirectory(path)) return undefined;
  try {
    createRequire(join(path, "index.js")).resolve(path);
    return undefined;
  } catch {
    return `${path} is a directory in which Node.js finds nothing to run.`;
  }
}

function isDebugged(): boolean {
  return inspectorUrl() !== undefined || process.execArgv.some((arg) => arg.startsWith("--inspect"));
}

function toStderr(line: string): void {
  console.error(`holdfast: ${line}`);
}

function isFileName(value: unknown): value is string | URL {
  return (typeof value === "string" && value !== "") || (value instanceof URL && value.protocol === "file:");
}

function isServer(value: unknown): value is NetServer | undefined {
  return value === undefined || value instanceof NetServer;
}

function isPort(value: unknown): value is number | undefined {
  return value === undefined || (Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 65_535);
}

/** Of one that is too long, the system would take the beginning. Pipes of Windows have no such limit. */
function isSocketPath(value: unknown): value is string | undefined {
  if (value === undefined) return true;
  // It would end at a zero. Where it begins with one, on Linux, it is no file.
  if (typeof value !== "string" || value === "" || value.includes("\0", 1)) return false;
  return process.platform === "win32" || Buffer.byteLength(wholeSocketPath(value)) <= MAX_SOCKET_PATH_BYTES;
}

function isOptionalDirectory(value: unknown): value is string | undefined {
  return value === undefined || (typeof value === "string" && isDirectory(value));
}

/** The system takes a zero for the end of a text. */
function isText(value: unknown): value is string {
  return typeof value === "string" && !value.includes("\0");
}

function isListOfStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isText);
}

function isOptionalList(value: unknown): value is readonly string[] | undefined {
  return value === undefined || isListOfStrings(value);
}

function isEnvironment(value: unknown): value is Readonly<Record<string, string>> {
  if (!isPlainObject(value)) return false;
  return Object.entries(value).every(
    ([name, text]) => name !== "" && !name.includes("=") && isText(name) && isText(text),
  );
}

function isName(value: unknown): value is string | undefined {
  return value === undefined || (typeof value === "string" && NAME.test(value));
}

function isControl(value: unknown): value is boolean | string {
  return typeof value === "boolean" || (typeof value === "string" && value !== "" && !value.includes("\0"));
}

function isLog(value: unknown): value is false | ((line: string) => void) {
  return value === false || typeof value === "function";
}
