/**
 * A hub with as many members as a case wants: the hub in one process, all members in another one, each with a link of its
 * own to the hub's Unix socket. So the hub does what it does for as many workers, without their memory and their start.
 * Program: runs as the hub ("primary") and, started with a path, as the members ("worker").
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { Agent, readConfig } from "@holdfast/harness";
import { innerModule } from "../lib/inner-module.js";
import { USAGE_COMMANDS } from "../lib/usage.js";
import { SequenceCheck } from "../scenarios/sequence.js";

export interface HubMembersConfig {
  readonly members: number;
  /** How many of them are interested in the room; the first one emits, and is not among them unless all are. */
  readonly interested: number;
  readonly payloadBytes: number;
}

export interface HubWindow {
  readonly emitted: number;
  readonly deliveries: number;
  readonly failures: readonly string[];
}

const ROOM = "room";
const PATH_VARIABLE = "HOLDFAST_BENCH_HUB";
/** Emits in a turn, and emits that are on their way at most. */
const BURST = 64;
const WINDOW = 2048;
const DRAIN_MS = 10_000;

const config = readConfig<HubMembersConfig>();
const agent = new Agent();
const path = process.env[PATH_VARIABLE];
if (path === undefined) await runHub();
else await runMembers(path);

async function runHub(): Promise<void> {
  const { HubProcess } =
    await innerModule<typeof import("../../../packages/adapter/dist/host/hub-process.js")>(
      "host/hub-process.js",
    );
  const { resolvePrimaryOptions } =
    await innerModule<typeof import("../../../packages/adapter/dist/options.js")>("options.js");
  const directory = mkdtempSync(join(tmpdir(), "hf-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  const hubPath = join(directory, "hub.sock");
  const options = { ...resolvePrimaryOptions(), path: hubPath, ownsDirectory: false, idleMs: 0 };
  await HubProcess.open(options);
  spawn(process.execPath, [...process.execArgv, process.argv[1] ?? ""], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, [PATH_VARIABLE]: hubPath },
  });
  agent.ready({ role: "primary", workerId: 0, port: 0 }, USAGE_COMMANDS);
}

async function runMembers(hubPath: string): Promise<void> {
  const { Member } =
    await innerModule<typeof import("../../../packages/adapter/dist/member/member.js")>("member/member.js");
  const { SocketConnector } =
    await innerModule<typeof import("../../../packages/adapter/dist/host/socket-connector.js")>(
      "host/socket-connector.js",
    );
  const { RoomMembers } =
    await innerModule<typeof import("../../../packages/adapter/dist/member/room-members.js")>(
      "member/room-members.js",
    );
  const { members: count, interested, payloadBytes } = config;
  const checks = Array.from({ length: count }, () => new SequenceCheck());
  const isInterested = (place: number) => interested === count || (place > 0 && place <= interested);
  const opened: Promise<void>[] = [];

  const members = checks.map((_, place) => {
    const connector = new SocketConnector({ path: hubPath, workerId: place + 1, starts: false });
    const member = new Member(connector);
    const port = member.open("bench\n/", 0, {
      recovery: undefined,
      onBroadcast: (_rooms, _except, _flags, fields) => checks[place]?.add(fields.u32()),
      onCommand: () => {},
      onRequest: (_operation, _fields, responder) => responder.finish(0),
      onBroadcastWithAck: () => {},
      reportRooms: (report) => isInterested(place) && report.add(ROOM, new RoomMembers()),
      onRecoverable: () => {},
      onTaken: () => {},
      onError: (error) => console.error(error.message),
    });
    opened.push(
      (async () => {
        while (member.state !== "joined" || port.id === 0) await turn();
        await member.synced();
      })(),
    );
    return port;
  });
  await Promise.all(opened);

  const [emitter] = members;
  if (!emitter) throw new Error("a hub without members");
  const receivers = checks.filter((_, place) => place > 0 && isInterested(place));
  const rest = Buffer.alloc(payloadBytes, 0x61);
  const rooms = new Set([ROOM]);
  const nobody = new Set<string>();
  let last = 0;
  let sequence = 0;
  const packet = {
    bytes: payloadBytes + 4,
    offsetFromEnd: 0,
    write: (outbox: { u32(value: number): void; raw(bytes: Uint8Array): void }) => {
      outbox.u32(sequence);
      outbox.raw(rest);
    },
  };
  const slowest = () => receivers.reduce((least, check) => Math.min(least, check.last), last);

  agent.ready(
    { role: "worker", workerId: 1, port: 0 },
    {
      ...USAGE_COMMANDS,
      /** Emits for `ms`, and waits until everything has arrived. */
      emit: async (ms: number): Promise<HubWindow> => {
        const before = { last, counts: checks.map((check) => check.count) };
        const end = performance.now() + ms;
        while (performance.now() < end) {
          if (last - slowest() <= WINDOW - BURST) {
            for (let i = 0; i < BURST; i++) {
              sequence = ++last;
              emitter.broadcast(packet, rooms, nobody, {});
            }
          }
          await turn();
        }
        const deadline = performance.now() + DRAIN_MS;
        while (slowest() < last && performance.now() < deadline) await turn();
        const emitted = last - before.last;
        const counts = checks.map((check, place) => check.count - (before.counts[place] ?? 0));
        const failures = counts.flatMap((got, place) => {
          const expected = place > 0 && isInterested(place) ? emitted : 0;
          return got === expected ? [] : [`member ${place + 1}: ${got} of ${expected} broadcasts`];
        });
        const wrong = checks.reduce((all, check) => all + check.wrong, 0);
        if (wrong > 0) failures.push(`${wrong} broadcasts out of order or doubled`);
        return { emitted, deliveries: counts.reduce((all, got) => all + got, 0), failures };
      },
    },
  );
}
