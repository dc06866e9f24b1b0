/**
 * The choice of a worker for a connection that belongs to no session.
 * Owns: the turn of round-robin. Runs in: primary.
 */
import type { LoadBalancingMethod } from "../options.js";

/** What the balancer knows of a worker. */
export interface Candidate {
  readonly workerId: number;
  /** Position in the cluster, kept over respawns. */
  readonly slot: number;
  /** Connections that are open or on their way. */
  readonly connections: number;
  /** Connections handed over so far. */
  readonly handedOver: number;
}

/** Picks one of `candidates` (never empty, ordered by worker id) for a client that `key` stands for. */
export type Balancer = <C extends Candidate>(candidates: readonly C[], key: string | undefined) => C;

export function createBalancer(method: LoadBalancingMethod): Balancer {
  switch (method) {
    case "least-connection":
      return leastConnection;
    case "round-robin":
      return roundRobin();
    case "random":
      return random;
    case "hash":
      return (candidates, key) => rendezvous(candidates, key ?? "");
  }
}

function leastConnection<C extends Candidate>(candidates: readonly C[]): C {
  return best(candidates, (a, b) => {
    return a.connections < b.connections || (a.connections === b.connections && a.handedOver < b.handedOver);
  });
}

function roundRobin(): Balancer {
  let last = 0;
  return (candidates) => {
    const next = candidates.find(({ workerId }) => workerId > last) ?? first(candidates);
    last = next.workerId;
    return next;
  };
}

function random<C extends Candidate>(candidates: readonly C[]): C {
  return candidates[Math.floor(Math.random() * candidates.length)] ?? first(candidates);
}

/**
 * Rendezvous hashing: each slot gets a score for the address, the highest wins. When a slot goes, only its
 * own addresses move; when it is back, they come back.
 */
export function rendezvous<C extends Candidate>(candidates: readonly C[], address: string): C {
  const key = hash(address);
  let winner = first(candidates);
  let highest = -1;
  for (const candidate of candidates) {
    const score = mix(key ^ Math.imul(candidate.slot + 1, 0x9e3779b1));
    if (score <= highest) continue;
    highest = score;
    winner = candidate;
  }
  return winner;
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value;
}

/** The finalizer of MurmurHash3: every bit of the result depends on every bit of `value`. */
function mix(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

function best<C>(candidates: readonly C[], isBetter: (a: C, b: C) => boolean): C {
  let winner = first(candidates);
  for (const candidate of candidates) if (isBetter(candidate, winner)) winner = candidate;
  return winner;
}

function first<C>(candidates: readonly C[]): C {
  const [candidate] = candidates;
  if (candidate === undefined) throw new RangeError("no candidates");
  return candidate;
}
