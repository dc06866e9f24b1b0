/**
 * The links over which suites of the adapter run: pipes, which most clusters have, in the suite; the others, which take as
 * long each, in the wide run (`npm run test:wide`).
 */
export const LINKS: readonly ("pipe" | "ipc" | "unix")[] =
  process.env.HOLDFAST_WIDE === "1" ? ["ipc", "unix"] : ["pipe"];
