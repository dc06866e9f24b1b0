/** Memory for what comes from links and waits in them, of all links of the process. Runs in: primary and workers. */
import { BufferPool } from "./buffer-pool.js";

export const BATCH_BYTES = 128 * 1024;

/** 8 MiB at most. */
export const batchBuffers = new BufferPool(BATCH_BYTES, 64);
