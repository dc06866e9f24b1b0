/** This package's version. Runs in: primary and workers. */

// Written here, not read from package.json at run time: bundles have none beside them. A test compares the two.
export const VERSION = "0.1.0";
