/** What the hub's handle tells of the hosts of an application, for those who reach them on ways of their own. Types only. */

/** Another host of the application. */
export interface OtherHost {
  /** The name that it has drawn for itself; no other host ever has it. */
  readonly name: string;
  /** What it has published of how it is reached; `""` if it has published nothing. */
  readonly address: string;
}

/**
 * The hosts of an application: what `setupPrimary()` of `@holdfast/sticky` takes as its option `hosts`. Without
 * `backplane` there are no others.
 */
export interface HostDirectory {
  /** This host's own name. */
  readonly name: string;
  /**
   * What all hosts of the application know, and nobody else: they prove with it who they are. It is drawn by the first of
   * them, and stays when the backplane loses its data. `undefined` as long as this host has not joined the others.
   */
  readonly secret: string | undefined;
  /**
   * The other hosts. While the backplane is away, those that were there last; when it is back, also those that may still
   * come back to it.
   */
  readonly others: readonly OtherHost[];
  /**
   * Tells the other hosts how this one is reached, from now on. Settles when the backplane has it, or is away; the others
   * know it a moment later.
   * @param address what they find as its `address`, as it is; at most 512 characters
   * @throws {HoldfastError} `HOLDFAST_ERR_INVALID_OPTION` if it is longer
   */
  publish(address: string): Promise<void>;
  /**
   * The process of another host seems to have ended. If Redis sees it so, too, because the connection of that host has
   * ended, then all hosts know at once; otherwise when its lease is over. While it seems so, call it again and again.
   * @param name of the host
   */
  suspect(name: string): void;
  /** Settles when it is known which other hosts there are, or that this cannot be found out for now. */
  ready(): Promise<void>;
  /** `change`: there is another secret, or there are other hosts or other addresses. */
  on(event: "change", listener: () => void): unknown;
  off(event: "change", listener: () => void): unknown;
}
