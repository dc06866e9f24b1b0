/** What a process under test is told at its start. Runs in: the bench and the processes under test. */
import type { Server as HttpServer } from "node:http";
import type { Agent, Commands } from "@holdfast/harness";
import type { Server } from "socket.io";
import type { Setup } from "../lib/contestants.js";

export interface NodeConfig {
  readonly setup: Setup;
  readonly workers: number;
  /** Module in `scenarios/` that gives the workers their commands. */
  readonly scenario: string;
  /** Where workers accept connections: on the port of the cluster, each on one of its own, or nowhere. */
  readonly listen: "shared" | "own" | "none";
  /** Where workers listen that cannot be told by the primary: with `reusePort`. @default 0: the system chooses */
  readonly port?: number;
  /** Whether the cluster goes on when a worker has ended. @default false: that ends the bench */
  readonly survives?: boolean;
  /** Where this is one of several hosts: how many workers all of them have, and the hosts before it. */
  readonly among?: { readonly workers: number; readonly before: number };
  /** Options for the scenario. */
  readonly options: object;
}

/** What a scenario finds in its worker. */
export interface WorkerContext {
  readonly io: Server;
  readonly httpServer: HttpServer;
  readonly agent: Agent;
  /** 1…, of all hosts. */
  readonly index: number;
  readonly config: NodeConfig;
}

export interface Scenario {
  /** Sets the worker up before it reports ready. */
  start(context: WorkerContext): Commands | Promise<Commands>;
}
