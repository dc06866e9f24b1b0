#!/usr/bin/env node
/**
 * `holdfast-hub`: a hub as a program, for operators, and for the first worker that needs one.
 * Owns: the process. Runs in: hub process.
 */
import { closeSync, writeSync } from "node:fs";
import type { HoldfastError } from "../errors.js";
import { VERSION } from "../version.js";
import { type Command, HELP, READY_WORD, readCommandLine } from "./hub-command-line.js";
import { HubProcess } from "./hub-process.js";

/** What is on its way when it ends has so long. */
const LEAVE_MS = 1_000;
const FAILED = 1;
const MISUSED = 2;

function main(args: readonly string[]): void {
  const command = commandOf(args);
  switch (command?.kind) {
    case "help":
      return void process.stdout.write(HELP);
    case "version":
      return console.log(VERSION);
    case "run":
      return void run(command);
  }
}

function commandOf(args: readonly string[]): Command | undefined {
  try {
    return readCommandLine(args, process.env);
  } catch (error) {
    console.error(`holdfast-hub: ${(error as Error).message}`);
    process.exitCode = MISUSED;
    return undefined;
  }
}

async function run({ options, readyFd }: Extract<Command, { kind: "run" }>): Promise<void> {
  // Whoever started it may be gone, and with it the other end of what is written to.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  let hub: HubProcess;
  try {
    hub = await HubProcess.open(options);
  } catch (error) {
    const { code, message } = error as HoldfastError;
    console.error(`holdfast-hub: ${message} [${code}]`);
    tell(readyFd, JSON.stringify({ code, message }));
    process.exitCode = FAILED;
    return;
  }
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => void hub.close());
  console.log(`holdfast-hub ${VERSION} is open at ${options.path}`);
  tell(readyFd, READY_WORD);
  await hub.closed;
  setTimeout(() => process.exit(), LEAVE_MS).unref();
}

function tell(fd: number | undefined, text: string): void {
  if (fd === undefined) return;
  try {
    writeSync(fd, text);
    closeSync(fd);
  } catch {
    // Nobody listens any more.
  }
}

main(process.argv.slice(2));
