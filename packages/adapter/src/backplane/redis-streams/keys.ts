/**
 * The names of the keys in Redis. All of an application share one hash tag, so that a script may touch them together,
 * on Redis Cluster too. Runs in: where the hub is.
 */

export class Keys {
  /** What all names begin with. */
  readonly prefix: string;
  /** Hash: epoch, seed, secret, protocol; the numbers of the last batch, the last change and the last packet. */
  readonly state: string;
  /** Set: names of the hosts. */
  readonly hosts: string;
  /** Stream: recoverable packets, an entry for each batch that has some. */
  readonly journal: string;
  /** Stream: what hosts tell all others. */
  readonly changes: string;

  constructor(app: string) {
    this.prefix = `hf:{${app}}:`;
    this.state = `${this.prefix}state`;
    this.hosts = `${this.prefix}hosts`;
    this.journal = `${this.prefix}j`;
    this.changes = `${this.prefix}c`;
  }

  /** Hash: what a host has here. */
  host(host: string): string {
    return `${this.prefix}h:${host}`;
  }

  /** Stream: frames for one host. */
  inbox(host: string): string {
    return `${this.prefix}in:${host}`;
  }

  /** Hash: a session. */
  session(namespace: string, privateId: string): string {
    return `${this.prefix}s:${namespace}:${privateId}`;
  }
}
