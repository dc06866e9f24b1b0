/**
 * Redis servers of which one can take the place of another: behind a sentinel, or in a cluster.
 * Owns: the servers, the sentinel, and a client of each for orders. Runs in: tests.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { RedisSentinel, RedisServer, within } from "@holdfast/harness";
import { createClient } from "redis";

type Client = ReturnType<typeof createClient>;

interface Node {
  readonly server: RedisServer;
  readonly client: Client;
}

const HOST = "127.0.0.1";
/** A master would wait 5 s for further replicas before it copies its data. */
const AT_ONCE = ["--repl-diskless-sync-delay", "0"];
const LOOK_MS = 20;
/** Longer than any test: on a busy machine nobody is taken for failing. */
const NODE_TIMEOUT_MS = "600000";
/** How long a key may take from one master to another. */
const MOVE_MS = "10000";
/** Any key of the masters' slot that nobody else has. */
const MARK = "{test}copied";
/** The last slot of the first master of the cluster; the second has the others. */
const LAST_OF_FIRST = 8_191;
const LAST_SLOT = 16_383;

export class RedisGroup {
  /** Where clients may ask for the others: the sentinel, or the nodes of the cluster. */
  ports: number[] = [];
  /** The one with the keys, and its replica. */
  #pair: { readonly master: Node; readonly replica: Node } | undefined;
  /** The masters of the cluster: the one that has the slot, and another one. */
  #masters: [from: Node, to: Node] | undefined;
  #slot = "";
  #promote: () => Promise<unknown> = async () => {};
  readonly #ends: (() => unknown)[] = [];

  /** A master and a replica, and a sentinel that watches them. */
  static async underSentinel(): Promise<RedisGroup> {
    return RedisGroup.#start(async (group) => {
      const master = await group.#startNode();
      const replica = await group.#startNode(["--replicaof", `${HOST} ${master.server.port}`]);
      await replicates(replica);
      const sentinel = await RedisSentinel.start(master.server);
      group.#ends.push(() => sentinel.close());
      const client = await group.#connect(sentinel.port);
      const ask = (...words: string[]) => client.sendCommand(["SENTINEL", ...words, RedisSentinel.service]);
      await until("replica that the sentinel knows", async () => {
        const replicas = (await ask("REPLICAS")) as unknown as string[][];
        return replicas.some((fields) => fields.includes("ok"));
      });
      group.ports = [sentinel.port];
      group.#pair = { master, replica };
      group.#promote = () => ask("FAILOVER");
    });
  }

  /** Two masters with half of the slots each, and a replica of the one that has this slot. */
  static async cluster(slot: number): Promise<RedisGroup> {
    return RedisGroup.#start(async (group) => {
      const settings = ["--cluster-enabled", "yes", "--cluster-node-timeout", NODE_TIMEOUT_MS];
      const nodes: Node[] = [];
      for (let i = 0; i < 3; i++) nodes.push(await group.#startNode(settings));
      const [first, second, replica] = nodes as [Node, Node, Node];
      await first.client.sendCommand(["CLUSTER", "ADDSLOTSRANGE", "0", String(LAST_OF_FIRST)]);
      await second.client.sendCommand([
        "CLUSTER",
        "ADDSLOTSRANGE",
        String(LAST_OF_FIRST + 1),
        String(LAST_SLOT),
      ]);
      for (const { server } of [second, replica]) {
        await first.client.sendCommand(["CLUSTER", "MEET", HOST, String(server.port)]);
      }
      const infoOf = async ({ client }: Node) => String(await client.sendCommand(["CLUSTER", "INFO"]));
      await until("cluster", async () => {
        const infos = await Promise.all(nodes.map(infoOf));
        return infos.every((info) => /cluster_state:ok/.test(info) && /cluster_known_nodes:3/.test(info));
      });
      const master = slot <= LAST_OF_FIRST ? first : second;
      const id = String(await master.client.sendCommand(["CLUSTER", "MYID"]));
      await replica.client.sendCommand(["CLUSTER", "REPLICATE", id]);
      await replicates(replica);
      group.ports = nodes.map(({ server }) => server.port);
      group.#pair = { master, replica };
      group.#masters = [master, master === first ? second : first];
      group.#slot = String(slot);
      group.#promote = () => replica.client.sendCommand(["CLUSTER", "FAILOVER", "TAKEOVER"]);
    });
  }

  static async #start(fill: (group: RedisGroup) => Promise<void>): Promise<RedisGroup> {
    const group = new RedisGroup();
    try {
      await fill(group);
    } catch (error) {
      await group.close();
      throw error;
    }
    return group;
  }

  /** Of the master and of its replica. */
  get serverPorts(): [number, number] {
    const { master, replica } = this.#nodes;
    return [master.server.port, replica.server.port];
  }

  /** Has the master carry out a command. */
  async order(...command: string[]): Promise<unknown> {
    const [{ client }] = this.#masters ?? [this.#nodes.master];
    return client.sendCommand(command);
  }

  /** Waits until the replica has all that the master has. */
  async untilReplicated(): Promise<void> {
    const { client } = this.#nodes.master;
    // WAIT waits for what its own connection has written last: for all that came before that, too.
    await client.set(MARK, "1");
    await until("copy", async () => Number(await client.sendCommand(["WAIT", "1", "100"])) === 1);
  }

  /** What is written from now on is lost when the replica takes over. */
  async cutReplica(): Promise<void> {
    const { master, replica } = this.#nodes;
    replica.server.stop();
    await master.client.sendCommand(["CLIENT", "KILL", "TYPE", "REPLICA"]);
  }

  /** Kills the master, and has the replica take its place. */
  async failOver(): Promise<void> {
    const { master, replica } = this.#nodes;
    await master.server.kill();
    replica.server.resume();
    await this.#promote();
  }

  /**
   * Begins to move the slot to the other master: this key goes there, the others stay.
   * @returns false if there is no such key, and nothing has been begun
   */
  async beginMove(key: string): Promise<boolean> {
    const [from, to] = this.#cluster;
    const isMoved = (await from.client.exists(key)) === 1;
    if (!isMoved) return false;
    const idOf = async ({ client }: Node) => String(await client.sendCommand(["CLUSTER", "MYID"]));
    await to.client.sendCommand(["CLUSTER", "SETSLOT", this.#slot, "IMPORTING", await idOf(from)]);
    await from.client.sendCommand(["CLUSTER", "SETSLOT", this.#slot, "MIGRATING", await idOf(to)]);
    await this.#move(key);
    return true;
  }

  /** Moves the rest of the slot. */
  async endMove(): Promise<void> {
    const [from, to] = this.#cluster;
    const rest = async () =>
      (await from.client.sendCommand([
        "CLUSTER",
        "GETKEYSINSLOT",
        this.#slot,
        "1000",
      ])) as unknown as string[];
    for (let keys = await rest(); keys.length > 0; keys = await rest()) {
      for (const key of keys) await this.#move(key);
    }
    const id = String(await to.client.sendCommand(["CLUSTER", "MYID"]));
    for (const { client } of [to, from])
      await client.sendCommand(["CLUSTER", "SETSLOT", this.#slot, "NODE", id]);
    this.#masters = [to, from];
  }

  async #move(key: string): Promise<void> {
    const [from, to] = this.#cluster;
    await from.client.sendCommand(["MIGRATE", HOST, String(to.server.port), key, "0", MOVE_MS]);
  }

  async close(): Promise<void> {
    for (const end of this.#ends.reverse()) await end();
  }

  get #cluster(): [from: Node, to: Node] {
    if (!this.#masters) throw new Error("it is no cluster");
    return this.#masters;
  }

  get #nodes(): { readonly master: Node; readonly replica: Node } {
    if (!this.#pair) throw new Error("nothing has been started");
    return this.#pair;
  }

  async #startNode(settings: readonly string[] = []): Promise<Node> {
    const server = await RedisServer.start({ settings: [...AT_ONCE, ...settings] });
    this.#ends.push(() => server.close());
    return { server, client: await this.#connect(server.port) };
  }

  async #connect(port: number): Promise<Client> {
    const client = createClient({ url: `redis://${HOST}:${port}` });
    // Of servers that are killed.
    client.on("error", () => {});
    this.#ends.push(() => client.destroy());
    await client.connect();
    return client;
  }
}

async function replicates({ client }: Node): Promise<void> {
  await until("link to the master", async () =>
    (await client.info("replication")).includes("master_link_status:up"),
  );
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const end = new AbortController();
  const look = async () => {
    while (!end.signal.aborted && !(await isSo())) await sleep(LOOK_MS);
  };
  try {
    await within(look(), what);
  } finally {
    end.abort();
  }
}
