/** On what the figures were measured. Runs in: the bench. */
import { cpus, release, totalmem, type } from "node:os";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGB: number;
  readonly os: string;
  readonly node: string;
}

/** In one line. */
export function describe({ cores, cpu, memoryGB, os, node }: Machine): string {
  return `${cores} cores of ${cpu}, ${memoryGB} GB, ${os}, Node.js ${node}`;
}

export function machine(): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? "unknown",
    cores: all.length,
    memoryGB: Math.round(totalmem() / 2 ** 30),
    // Without what a distributor adds.
    os: `${type()} ${release().split("-", 1)[0]}`,
    node: process.version,
  };
}
