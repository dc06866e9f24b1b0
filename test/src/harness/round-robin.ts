/**
 * A load balancer that knows no affinity: each connection goes to the next host.
 * Owns: its port and its connections. Runs in: tests.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class RoundRobin {
  /** Ports of the hosts. */
  ports: readonly number[];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Those of them that lead to hosts. */
  readonly #hosts = new Set<Socket>();
  /** Where each socket's bytes go. */
  readonly #others = new Map<Socket, Socket>();
  #turn = 0;

  private constructor(ports: readonly number[]) {
    this.ports = ports;
    this.#server = createServer({ noDelay: true }, (socket) => this.#pass(socket));
  }

  static async open(...ports: number[]): Promise<RoundRobin> {
    return RoundRobin.openAt("127.0.0.1", 0, ...ports);
  }

  /** The same, at an address and a port. */
  static async openAt(host: string, port: number, ...ports: number[]): Promise<RoundRobin> {
    const balancer = new RoundRobin(ports);
    balancer.#server.listen(port, host);
    await once(balancer.#server, "listening");
    return balancer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
    this.cut();
  }

  /** Ends all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Nothing goes through any connection, in either direction, until `goOn()`. */
  halt(): void {
    for (const socket of this.#sockets) socket.unpipe();
  }

  /** What the hosts send does not go through until `goOn()`; what they are sent does. */
  haltAnswers(): void {
    for (const socket of this.#hosts) socket.unpipe();
  }

  goOn(): void {
    for (const [one, other] of this.#others) one.pipe(other);
  }

  #pass(client: Socket): void {
    const host = connect({ port: this.ports[this.#turn++ % this.ports.length] as number, noDelay: true });
    this.#hosts.add(host);
    for (const [one, other] of [
      [client, host],
      [host, client],
    ] as const) {
      this.#sockets.add(one);
      this.#others.set(one, other);
      one.on("error", () => {});
      one.once("close", () => {
        this.#sockets.delete(one);
        this.#hosts.delete(one);
        this.#others.delete(one);
        other.destroySoon();
      });
      one.pipe(other);
    }
  }
}
