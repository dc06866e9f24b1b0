/** A process with a clean-up ends by signals as one without, whatever the application does about them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";

const MODULE = JSON.stringify(new URL("../dist/signal-end.js", import.meta.url).href);
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Runs `code` in a process with a clean-up, sends the signals one after the other, each when it has said a line. */
async function run(
  code: string,
  signals: readonly NodeJS.Signals[],
  before = "",
): Promise<[string, string | number | null]> {
  const script = `${before};import(${MODULE}).then(({beforeEndBySignal})=>{beforeEndBySignal(()=>console.log("cleaned"));
    setInterval(()=>{},1e3);${code};console.log("ready")})`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  const left = [...signals];
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    for (const _ of text.matchAll(/ready|heard/g)) {
      const signal = left.shift();
      if (signal) child.kill(signal);
    }
  });
  const [exitCode, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return [output.trim().split("\n").join(" "), signal ?? exitCode];
}

test.each(SIGNALS)("without listeners, %s ends it, after the clean-up", async (signal) => {
  expect(await run("", [signal])).toEqual(["ready cleaned", signal]);
});

test("a listener of the application, from before or from later, decides", async () => {
  const hear =
    'process.on("SIGINT",()=>{console.log("heard",process.listenerCount("SIGINT"));process.exit(7)})';
  expect(await run("", ["SIGINT"], hear)).toEqual(["ready heard 1", 7]);
  expect(await run(hear, ["SIGINT"])).toEqual(["ready heard 1", 7]);
  const other = 'process.on("SIGTERM",()=>console.log("heard"))';
  expect(await run(other, ["SIGTERM", "SIGTERM", "SIGHUP"])).toEqual(["ready heard heard cleaned", "SIGHUP"]);
});

test("a signal that has come before the application listens for it is heard by that listener", async () => {
  const hear = `process.kill(process.pid,"SIGTERM");process.on("SIGTERM",()=>{console.log("heard");process.exit(7)})`;
  expect(await run(hear, [])).toEqual(["ready heard", 7]);
});

test("a listener that has just come hears what the application itself emits, alone", async () => {
  const emits = `process.prependOnceListener("SIGTERM",()=>console.log("heard"));process.emit("SIGTERM","SIGTERM")`;
  expect(await run(emits, ["SIGINT"])).toEqual(["heard ready cleaned", "SIGINT"]);
});

test("a listener that is gone again leaves the end to the signal", async () => {
  const once = `process.once("SIGTERM",()=>console.log("heard"))`;
  expect(await run(once, ["SIGTERM", "SIGTERM"])).toEqual(["ready heard cleaned", "SIGTERM"]);
  const removed = `const f=()=>{};process.on("SIGINT",f);process.off("SIGINT",f)`;
  expect(await run(removed, ["SIGINT"])).toEqual(["ready cleaned", "SIGINT"]);
});

test("who re-raises the signal as the last listener is not kept from it", async () => {
  const reRaise = `const end=(s)=>{console.log("heard",process.listeners(s).length);process.off(s,end);process.kill(process.pid,s)};process.on("SIGTERM",end)`;
  expect(await run(reRaise, ["SIGTERM"])).toEqual(["ready heard 1 cleaned", "SIGTERM"]);
});
