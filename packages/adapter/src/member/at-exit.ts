/**
 * What is still done when the process ends by `process.exit()` or by an error that nobody caught.
 * Owns: one listener of the process, however many have something to do. Runs in: workers; in the primary for its
 * emitters.
 */
const works = new Set<() => void>();

/** @returns call it when there is nothing to do any more */
export function atExit(work: () => void): () => void {
  if (works.size === 0) process.on("exit", runAll);
  works.add(work);
  return () => {
    if (works.delete(work) && works.size === 0) process.off("exit", runAll);
  };
}

function runAll(): void {
  for (const work of works) {
    try {
      work();
    } catch {
      // The others have something to do as well, and nobody is left to be told.
    }
  }
}
