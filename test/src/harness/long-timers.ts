/** For `run()`: in that process, what waits for half a second or more waits for ever. Runs in: processes of the fixture. */
export function waitForNothingLong(): void {
  const { setTimeout: real } = globalThis;
  const patched = (run: () => void, ms = 0) => real(run, ms < 500 ? ms : 2 ** 31 - 1);
  Object.assign(globalThis, { setTimeout: Object.assign(patched, real) });
}
