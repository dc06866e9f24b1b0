/** The other hosts of an application: what users give. Runs in: primary. */

/** Another host, as a {@link HostDirectory} has it. */
export interface OtherHost {
  readonly name: string;
  /** What it has published. */
  readonly address: string;
}

/** Who the hosts of an application are: `hub.hosts` of `setupPrimary()` of `@holdfast/adapter`. */
export interface HostDirectory {
  /** This host's own name. */
  readonly name: string;
  /** What only the hosts know; `undefined` as long as this one has not joined them. */
  readonly secret: string | undefined;
  /** The other hosts. */
  readonly others: readonly OtherHost[];
  /** Tells the other hosts where this one is reached. Settles when that is on its way to all. */
  publish(address: string): Promise<void>;
  /** The process of another host seems to have ended. */
  suspect(name: string): void;
  /** Settles when it is known which other hosts there are, or that this cannot be found out for now. */
  ready(): Promise<void>;
  /** `change`: there is another secret, or there are other hosts or other addresses. */
  on(event: "change", listener: () => void): unknown;
  off(event: "change", listener: () => void): unknown;
}
