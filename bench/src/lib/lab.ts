/**
 * Starts, steers and ends the processes of a bench.
 * Owns: the control server and every process started here. Runs in: the bench.
 */
import { type ChildProcess, fork } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { within } from "@holdfast/harness";
import type { Usage } from "./agent.js";
import { type Answer, ControlChannel, type ControlMessage, type Hello } from "./control.js";

/** A process under test or a load generator. Emits the notices that it sends. */
export class RemoteProcess extends EventEmitter {
  readonly role: Hello["role"];
  readonly index: number;
  readonly pid: number;
  readonly #channel: ControlChannel;
  readonly #calls = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #lastCall = 0;
  #alive = true;

  /** Settles when the process is gone. */
  readonly gone: Promise<unknown>;

  constructor(hello: Hello, socket: Socket, channel: ControlChannel) {
    super();
    this.role = hello.role;
    this.index = hello.index;
    this.pid = hello.pid;
    this.#channel = channel;
    this.gone = once(socket, "close");
    void this.gone.then(() => {
      this.#alive = false;
      for (const { reject } of this.#calls.values()) reject(new Error(`${this.role} ${this.index} is gone`));
      this.#calls.clear();
    });
    this.end = () => socket.destroy();
  }

  /** Ends the process: it lives no longer than its control connection. */
  readonly end: () => void;

  async call<R = unknown>(command: string, ...args: unknown[]): Promise<R> {
    if (!this.#alive) throw new Error(`${this.role} ${this.index} is gone`);
    const id = ++this.#lastCall;
    const answer = new Promise<unknown>((resolve, reject) => this.#calls.set(id, { resolve, reject }));
    this.#channel.send({ type: "call", id, command, args });
    return (await within(answer, `answer to "${command}" from ${this.role} ${this.index}`)) as R;
  }

  usage(): Promise<Usage> {
    return this.call<Usage>("usage");
  }

  notify(name: string, value: unknown): void {
    this.#channel.send({ type: "notice", name, value });
  }

  settle({ id, value, error }: Answer): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error === undefined) call?.resolve(value);
    else call?.reject(new Error(error));
  }
}

/** A tree of processes started from one program: a cluster or a load generator. */
export class Group {
  readonly members: RemoteProcess[] = [];
  output = "";
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #joined = new EventEmitter();

  constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = once(child, "exit");
    const keep = (chunk: Buffer) => {
      this.output += chunk;
    };
    child.stdout?.on("data", keep);
    child.stderr?.on("data", keep);
  }

  admit(member: RemoteProcess): void {
    this.members.push(member);
    this.members.sort((a, b) => a.index - b.index);
    this.#joined.emit("member");
  }

  async complete(size: number): Promise<void> {
    const full = async () => {
      while (this.members.length < size) await once(this.#joined, "member");
    };
    const died = this.#exited.then(() => Promise.reject(new Error("the program ended")));
    await within(Promise.race([full(), died]), `group of ${size} processes`);
  }

  /** The primary, where there is one. */
  get primary(): RemoteProcess | undefined {
    return this.members.find(({ role }) => role === "primary");
  }

  get workers(): RemoteProcess[] {
    return this.members.filter(({ role }) => role === "worker");
  }

  /** Worker or load generator by its place, from 0. */
  at(place: number): RemoteProcess {
    const member = this.members.filter(({ role }) => role !== "primary")[place];
    if (!member) throw new Error(`no process at place ${place}`);
    return member;
  }

  async close(): Promise<void> {
    for (const member of this.members) member.end();
    this.#child.kill("SIGKILL");
    await within(Promise.all([this.#exited, ...this.members.map(({ gone }) => gone)]), "end of a program");
  }
}

export class Lab {
  readonly #server: Server;
  readonly #groups = new Map<string, Group>();
  #lastGroup = 0;

  private constructor() {
    this.#server = createServer((socket) => {
      let member: RemoteProcess | undefined;
      const channel = new ControlChannel(socket, (message: ControlMessage) => {
        if (message.type === "hello") {
          member = new RemoteProcess(message, socket, channel);
          this.#groups.get(message.group)?.admit(member);
        } else if (message.type === "answer") member?.settle(message);
        else if (message.type === "notice") member?.emit(message.name, message.value);
      });
    });
  }

  static async open(): Promise<Lab> {
    const lab = new Lab();
    lab.#server.listen(0, "127.0.0.1");
    await once(lab.#server, "listening");
    return lab;
  }

  /**
   * Starts `dist/<program>.js` with `config` and waits until `size` of its processes have reported.
   * Workers of a cluster inherit the environment, so they report to the same group.
   */
  async start(program: string, config: object, size: number): Promise<Group> {
    const name = String(++this.#lastGroup);
    const file = fileURLToPath(new URL(`../${program}.js`, import.meta.url));
    const child = fork(file, {
      silent: true,
      execArgv: ["--expose-gc"],
      env: {
        ...process.env,
        HOLDFAST_BENCH_CONTROL: String((this.#server.address() as AddressInfo).port),
        HOLDFAST_BENCH_GROUP: name,
        HOLDFAST_BENCH_CONFIG: JSON.stringify(config),
      },
    });
    const group = new Group(child);
    this.#groups.set(name, group);
    try {
      await group.complete(size);
    } catch (error) {
      await group.close();
      throw new Error(`${program} did not start: ${(error as Error).message}\n${group.output}`);
    }
    return group;
  }

  /** Ends what was started and not yet closed. */
  async close(): Promise<void> {
    await Promise.all([...this.#groups.values()].map((group) => group.close()));
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}
