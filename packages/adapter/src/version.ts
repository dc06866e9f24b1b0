/** This package's version, as the two ends of a handshake tell each other. Runs in: primary and workers. */

// Written here, not read from package.json at run time: bundles have none beside them. A test compares the two.
export const VERSION = "0.1.0";
