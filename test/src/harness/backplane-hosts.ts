/**
 * Hosts without hubs, joined over Redis: each says what it is told to, and notes what it hears.
 * Owns: the backplanes. Runs in: tests.
 */
import { randomBytes } from "node:crypto";
import { type RedisStreamsOptions, redisStreams } from "@holdfast/adapter/redis-streams";
import { Changes } from "@holdfast/harness";

const HEADER_BYTES = 12;
const MIB = 2 ** 20;
type Factory = ReturnType<typeof redisStreams>;
type Backplane = ReturnType<Factory["open"]>;

/** What a host heard, in order, as words. */
export class BackplaneHost {
  readonly heard: string[] = [];
  readonly errors: string[] = [];
  readonly complaints: string[] = [];
  /** Why it went alone, each time. */
  readonly reasons: string[] = [];
  epoch = "";
  seed = "";
  secret = "";
  readonly #changes = new Changes();
  readonly backplane: Backplane;
  readonly #names: ReadonlyMap<string, string>;

  /** @param names what hosts are called in `heard` */
  constructor(options: RedisStreamsOptions, names: Map<string, string>, name: string, protocol = 2) {
    this.#names = names;
    const seed = randomBytes(16).toString("hex");
    const limits = { protocol, maxMessageBytes: MIB, maxBacklogBytes: 8 * MIB, seed };
    this.backplane = redisStreams(options).open(limits, {
      onJoined: ({ epoch, seed, secret, hosts }) => {
        this.epoch = epoch;
        this.seed = seed;
        this.secret = secret;
        const others = hosts.map(({ host, buckets, namespaces, address }) => {
          const bits = [...buckets].reduce(
            (sum, byte) => sum + byte.toString(2).replaceAll("0", "").length,
            0,
          );
          return `${this.#name(host)}:${bits}:${[...namespaces].join()}${address ? `@${address}` : ""}`;
        });
        this.#hear(`joined ${others.sort().join(" ")}`.trim());
      },
      onBack: () => {},
      onAlone: ({ code, message }) => {
        this.reasons.push(message);
        this.#hear(`alone ${code}`);
      },
      onHost: (host) => this.#hear(`host ${this.#name(host)}`),
      onHostGone: (host, why) => this.#hear(`${why === "ended" ? "gone" : why} ${this.#name(host)}`),
      onChange: (host, { wants, drops, namespaces, left, address }) => {
        const words = [`+${wants}`, `-${drops}`, `n${[...namespaces].join()}`, `l${left}`];
        if (address !== undefined) words.push(`@ ${address}`);
        this.#hear(`${this.#name(host)} told ${words.filter((word) => word.length > 1).join(" ")}`);
      },
      onFrame: (host, namespace, ...frame) =>
        this.#hear(`${this.#name(host)} ${namespace} ${textOf(...frame)}`),
      onRecord: (host, namespace, sequence, isPast, ...frame) =>
        this.#hear(
          `${sequence}${isPast ? " past" : ""} ${this.#name(host)} ${namespace} ${textOf(...frame)}`,
        ),
      onRecordsLost: (from, upTo) => this.#hear(`lost ${from}-${upTo}`),
      onPause: () => {},
      onGap: (entries) => this.#hear(`gap ${entries}`),
      onSessionLost: (namespace, privateId) => this.#hear(`lost ${namespace} ${privateId}`),
      onError: (error) => {
        this.errors.push(error.code);
        this.complaints.push(error.message);
        this.#changes.tell();
      },
    });
    names.set(this.backplane.host, name);
  }

  get host(): string {
    return this.backplane.host;
  }

  send(hosts: readonly BackplaneHost[], text: string, namespace = "/"): void {
    this.backplane.send(
      hosts.map(({ host }) => host),
      namespace,
      ...frameOf(text),
    );
  }

  sendTo(host: BackplaneHost, text: string): void {
    this.backplane.sendTo(host.host, "/", ...frameOf(text));
  }

  record(text: string): void {
    this.backplane.record("/", ...frameOf(text));
  }

  tell(change: {
    wants?: number[];
    drops?: number[];
    namespaces?: [string, string | undefined][];
    left?: number[];
    address?: string;
  }): void {
    const { wants = [], drops = [], namespaces = [], left = [], address } = change;
    this.backplane.tell({ wants, drops, namespaces: new Map(namespaces), left, address });
  }

  async inEffect(): Promise<void> {
    await new Promise<void>((resolve) => this.backplane.whenInEffect(resolve));
  }

  /** Waits until all that was said is in effect, or Redis has refused it. */
  async inEffectOrRefused(): Promise<void> {
    const before = this.errors.length;
    let isDone = false;
    void this.inEffect().then(() => {
      isDone = true;
      this.#changes.tell();
    });
    await this.#changes.until("an effect, or an error", () => isDone || this.errors.length > before);
  }

  /** Waits until it has heard something that is this, or matches it. */
  async hears(what: string | RegExp, times = 1): Promise<void> {
    const isIt = (word: string) => (typeof what === "string" ? word === what : what.test(word));
    const missing = () => `${what} among ${JSON.stringify(this.heard)}`;
    await this.#changes.until(missing, () => this.heard.filter(isIt).length >= times);
  }

  /** The same, among what came after the first so many. */
  async hearsAfter(count: number, what: RegExp): Promise<void> {
    const heard = () => this.heard.slice(count);
    await this.#changes.until(
      () => `${what} among ${JSON.stringify(heard())}`,
      () => heard().some((word) => what.test(word)),
    );
  }

  async complains(code: string): Promise<void> {
    await this.#changes.until(`${code}`, () => this.errors.includes(code));
  }

  #name(host: string): string {
    return this.#names.get(host) ?? "somebody";
  }

  #hear(word: string): void {
    this.heard.push(word);
    this.#changes.tell();
  }
}

function frameOf(text: string): [Buffer, number, number] {
  const body = Buffer.from(text);
  const frame = Buffer.alloc(HEADER_BYTES + body.length);
  frame.writeUInt32LE(frame.length, 0);
  frame.set(body, HEADER_BYTES);
  return [frame, 0, frame.length];
}

function textOf(buffer: Buffer, start: number, end: number): string {
  return buffer.toString("utf8", start + HEADER_BYTES, end);
}
