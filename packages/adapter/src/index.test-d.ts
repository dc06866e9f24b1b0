/** What the compiler must accept and refuse of the public types. Checked by `tsc -b`, never run. */
import { type Namespace, Server } from "socket.io";
import type { Adapter } from "socket.io-adapter";
import { expectTypeOf } from "vitest";
import {
  type AdapterOptions,
  createAdapter,
  type Emitter,
  type HoldfastAdapter,
  HoldfastError,
  type HoldfastErrorCode,
  type HubStats,
  type MemberInfo,
  type MemberStats,
  type Primary,
  type PrimaryEvents,
  type PrimaryOptions,
  type PrimaryStats,
  RequestError,
  setupPrimary,
} from "./index.js";

interface Events {
  hello: (name: string) => void;
}
interface Data {
  user: string;
}

/** The adapter goes wherever Socket.IO takes one, whatever the server's event types are. */
export function adapterIsAccepted(): void {
  const io = new Server();
  io.adapter(createAdapter());
  new Server({ adapter: createAdapter() });
  new Server(3000, { adapter: createAdapter({ requestsTimeout: 1 }) });
  const typed = new Server<Events, Events, Events, Data>({ adapter: createAdapter() });
  typed.adapter(createAdapter());
  expectTypeOf(createAdapter).returns.toExtend<(nsp: Namespace) => HoldfastAdapter>();
  expectTypeOf(createAdapter().hubStats()).toEqualTypeOf<Promise<HubStats>>();
  expectTypeOf<HubStats>().toExtend<PrimaryStats>();
  expectTypeOf<HoldfastAdapter>().toExtend<Adapter>();
}

export function adapterOptions(): void {
  createAdapter({ requestsTimeout: 1, scope: "x", interest: false, onError: () => {} });
  createAdapter({ onError: ({ code }) => expectTypeOf(code).toEqualTypeOf<HoldfastErrorCode>() });
  createAdapter({ hub: "auto" });
  createAdapter({ hub: { path: "/run/app/hub.sock" } });
  // @ts-expect-error: a path is in an object
  createAdapter({ hub: "/run/app/hub.sock" });
  createAdapter({});
  // @ts-expect-error: no such option
  createAdapter({ requestTimeout: 1 });
  // @ts-expect-error: a number of milliseconds
  createAdapter({ requestsTimeout: "5s" });
  // @ts-expect-error: the key is left out instead
  createAdapter({ scope: undefined });
  // @ts-expect-error: an option of setupPrimary()
  createAdapter({ maxBacklogBytes: 2 ** 20 });
  expectTypeOf<Record<never, never>>().toExtend<AdapterOptions>();
}

export function primaryOptions(): void {
  setupPrimary();
  setupPrimary({ link: "ipc", maxBacklogBytes: 2 ** 20, maxMessageBytes: 1024, killStalled: false });
  // @ts-expect-error: no such option
  setupPrimary({ maxBacklog: 1 });
  // @ts-expect-error: no such link
  setupPrimary({ link: "tcp" });
  // @ts-expect-error: an option of createAdapter()
  setupPrimary({ requestsTimeout: 1 });
  expectTypeOf<NonNullable<PrimaryOptions["link"]>>().toEqualTypeOf<"pipe" | "ipc">();
}

/** Events name their arguments, and only what is emitted can be listened to. */
export function primaryHandle(primary: Primary): void {
  expectTypeOf(setupPrimary).returns.toEqualTypeOf<Primary>();
  primary.on("join", (member) => expectTypeOf(member).toEqualTypeOf<MemberInfo>());
  primary.once("leave", (member) => expectTypeOf(member).toEqualTypeOf<MemberInfo>());
  primary.on("stalled", (member, backlogBytes) => {
    expectTypeOf(member).toEqualTypeOf<MemberInfo>();
    expectTypeOf(backlogBytes).toEqualTypeOf<number>();
  });
  // @ts-expect-error: no such event
  primary.on("joined", () => {});
  // @ts-expect-error: "leave" has one argument
  primary.on("leave", (_member, _second) => {});
  expectTypeOf<keyof PrimaryEvents>().toEqualTypeOf<"join" | "leave" | "stalled" | "journalFull">();
  expectTypeOf(primary.close()).toEqualTypeOf<Promise<void>>();
}

export function primaryStats(primary: Primary): void {
  const stats = primary.stats();
  expectTypeOf(stats).toEqualTypeOf<PrimaryStats>();
  expectTypeOf(stats.rooms).toEqualTypeOf<number>();
  expectTypeOf(stats.namespaces).toEqualTypeOf<number>();
  for (const member of stats.members) {
    expectTypeOf(member).toEqualTypeOf<MemberStats>();
    expectTypeOf(member).toExtend<MemberInfo>();
    expectTypeOf(member.link).toEqualTypeOf<"pipe" | "ipc" | "unix" | "local">();
    expectTypeOf(member.backlogBytes).toEqualTypeOf<number>();
    expectTypeOf(member.dropped).toEqualTypeOf<number>();
    // @ts-expect-error: a snapshot
    member.dropped = 0;
  }
}

export async function primaryEmitter(primary: Primary): Promise<void> {
  const emitter = primary.emitter("/admin", { scope: "/path" });
  expectTypeOf(emitter).toEqualTypeOf<Emitter>();
  emitter.to("room").except(["a", "b"]).volatile.emit("event", 1);
  emitter.socketsJoin("room");
  expectTypeOf((await emitter.fetchSockets())[0]?.id).toEqualTypeOf<string | undefined>();
  // @ts-expect-error: the primary has no sockets of its own
  emitter.sockets;
  // @ts-expect-error: no such option
  primary.emitter("/", { path: "/x" });
}

/** Codes are literals: a typing error in a comparison does not compile. */
export function errors(error: HoldfastError): void {
  expectTypeOf<string>().not.toExtend<HoldfastErrorCode>();
  expectTypeOf<HoldfastErrorCode>().toExtend<`HOLDFAST_ERR_${string}`>();
  expectTypeOf<"HOLDFAST_ERR_LINK_LOST">().toExtend<HoldfastErrorCode>();
  // @ts-expect-error: no such code
  if (error.code === "HOLDFAST_ERR_LOST") return;
  expectTypeOf(error).toExtend<Error>();
  if (error instanceof RequestError) {
    expectTypeOf(error.missing).toEqualTypeOf<readonly MemberInfo[]>();
    expectTypeOf(error.responses).toEqualTypeOf<unknown[]>();
  }
  // @ts-expect-error: a code belongs to it
  new HoldfastError("something went wrong");
}
