/** Files of the adapter that nobody else may import. Runs in: processes under test. */
export async function innerModule<M>(file: string): Promise<M> {
  return (await import(new URL(`../${file}`, import.meta.resolve("@holdfast/adapter")).href)) as M;
}
