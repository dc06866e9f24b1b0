/**
 * What the workers of one cluster have in common.
 * Owns: nothing; a type. Runs in: primary and workers.
 */

export interface ClusterSecrets {
  /** Stands in front of every session id. */
  readonly tag: string;
  /** Where the private sockets are: the workers' user's, mode 0700. It can change while the cluster runs. */
  readonly directory: string;
  /** Grows with each change of the directory. What workers report of a former one is of the past. */
  readonly edition: number;
  /** Opens the private sockets. */
  readonly secret: string;
}
