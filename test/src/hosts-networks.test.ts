/**
 * Hosts in network namespaces, each with a link of its own to Redis: some are cut off for longer than their lease, and come
 * back. Needs root.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { findProgram, findRedisServer, isRoot, Program, RedisServer, skipsWithout } from "@holdfast/harness";
import { afterEach, expect, test } from "vitest";

const IP = findProgram({
  name: "ip, for root,",
  programs: isRoot ? ["ip"] : [],
  variable: "IP_PATH",
  paths: isRoot ? ["/usr/sbin/ip", "/sbin/ip"] : [],
  cure: "Run the tests as root; it is in Debian's package iproute2.",
});
const canMakeNetworks = IP !== undefined && makesNetworks(IP);
// Containers have root without this right.
if (IP)
  skipsWithout(
    canMakeNetworks,
    "no network namespaces can be made here. Run the tests with CAP_SYS_ADMIN and CAP_NET_ADMIN.",
  );
const FOLDER = fileURLToPath(new URL("..", import.meta.url));
/** Nobody routes these. */
const NETWORK = "198.18.77";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function makesNetworks(program: string): boolean {
  const name = `hf-${process.pid}`;
  if (spawnSync(program, ["netns", "add", name]).status !== 0) return false;
  return spawnSync(program, ["netns", "del", name]).status === 0;
}

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync(String(IP), args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr}`);
}

/** A host's network, and the link between it and this one. */
interface Network {
  readonly name: string;
  /** The end of the link that is here. */
  readonly link: string;
  readonly address: string;
}

function makeNetwork(number: number): Network {
  const name = `hf-${process.pid}-${number}`;
  const [link, inner] = [`hf${process.pid}h${number}`, `hf${process.pid}g${number}`];
  const address = `${NETWORK}.${4 * number + 1}`;
  ip("netns", "add", name);
  ends.push(() => ip("netns", "del", name));
  ip("link", "add", link, "type", "veth", "peer", "name", inner, "netns", name);
  // The system would remove it with its other end, but some time after that.
  ends.push(() => ip("link", "del", link));
  ip("address", "add", `${address}/30`, "dev", link);
  ip("link", "set", link, "up");
  ip("-n", name, "address", "add", `${NETWORK}.${4 * number + 2}/30`, "dev", inner);
  for (const device of ["lo", inner]) ip("-n", name, "link", "set", device, "up");
  return { name, link, address };
}

/** A server with one client, which is in a room: sends to the room all the time, and says what the client gets. */
function startHost({ name, address }: Network, letter: string, redisPort: number): Program {
  const script = `
    const { Server } = require("socket.io");
    const { io: connect } = require("socket.io-client");
    const { createAdapter } = require("@holdfast/adapter");
    const { redisStreams } = require("@holdfast/adapter/redis-streams");
    const backplane = redisStreams({ url: "redis://${address}:${redisPort}", app: "test", lease: 2_000, timeout: 1_000 });
    const httpServer = require("node:http").createServer();
    const io = new Server(httpServer, { adapter: createAdapter({ backplane, onError: () => {} }) });
    io.on("connection", (socket) => socket.join("tea"));
    httpServer.listen(0, "127.0.0.1", () => {
      const client = connect("http://127.0.0.1:" + httpServer.address().port, { transports: ["websocket"] });
      client.on("number", (from, number) => console.log("got", from, number));
    });
    let [sent, servers] = [0, 0];
    setInterval(async () => {
      io.to("tea").emit("number", "${letter}", ++sent);
      const count = await io.of("/").adapter.serverCount();
      if (count !== servers) console.log("servers", (servers = count));
    }, 50);`;
  const args = ["netns", "exec", name, process.execPath, "-e", script];
  const program = new Program(String(IP), args, { cwd: FOLDER });
  ends.push(() => program.close());
  return program;
}

/** The numbers of a host that another one's client has got, in order. */
const numbersOf = (letter: string, { stdout }: Program) =>
  [...stdout.matchAll(new RegExp(`^got ${letter} (\\d+)$`, "gm"))].map(([, number]) => Number(number));

/** Waits until the client of one host gets what the other has sent from now on. */
async function gets(receiver: Program, letter: string, sender: Program): Promise<void> {
  const newest = numbersOf(letter, sender).at(-1) ?? 0;
  await receiver.until(
    `a number of ${letter} after ${newest}`,
    () => (numbersOf(letter, receiver).at(-1) ?? 0) > newest,
  );
}

test.skipIf(!canMakeNetworks || !findRedisServer()).each([
  ["a host that is cut off", ["a", "b"], 1],
  ["two of three hosts, each of which is cut off", ["a", "b", "c"], 2],
] as const)(
  "%s for longer than the lease: who is alone goes on alone, and all are together again afterwards",
  async (_, letters, cutOff) => {
    const networks = letters.map((_letter, i) => makeNetwork(i));
    const addresses = networks.map(({ address }) => address);
    const redis = await RedisServer.start({
      settings: ["--bind", "127.0.0.1", ...addresses, "--protected-mode", "no"],
    });
    ends.push(() => redis.close());
    const hosts = new Map(
      networks.map((network, i) => {
        const letter = letters[i] ?? "";
        return [letter, startHost(network, letter, redis.port)];
      }),
    );
    const all = [...hosts.values()];
    const count = async (servers: number, times: number) => {
      for (const host of all) await host.line(new RegExp(`^servers ${servers}$`), times);
    };
    const allGetFromAll = async () => {
      for (const [letter, sender] of hosts) {
        await Promise.all(all.map((receiver) => gets(receiver, letter, sender)));
      }
    };
    await count(all.length, 1);
    await allGetFromAll();
    const before = all.map((host) => host.count(/^servers 1$/));
    const links = networks.slice(-cutOff).map(({ link }) => link);
    for (const link of links) ip("link", "set", link, "down");
    for (const [i, host] of all.entries()) await host.line(/^servers 1$/, (before[i] ?? 0) + 1);
    // Each still reaches its own.
    await Promise.all([...hosts].map(([letter, host]) => gets(host, letter, host)));
    for (const link of links) ip("link", "set", link, "up");
    await count(all.length, 2);
    await allGetFromAll();
    // Nothing that was on its way when the link was cut comes twice, or after what is newer.
    for (const host of all) {
      for (const letter of letters) {
        const numbers = numbersOf(letter, host);
        expect(numbers).toEqual([...new Set(numbers)].sort((one, other) => one - other));
      }
    }
  },
);
