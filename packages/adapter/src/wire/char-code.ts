/**
 * `text.charCodeAt(index)` for hot loops. V8 keeps strings in over a dozen ways (flat, sliced, joined, one or two
 * bytes a character, …); code that has met more than four of them looks the method up again for every
 * character, which costs four times as much as the loop. Runs in: primary and workers.
 */
const { charCodeAt } = String.prototype;

export function charCode(text: string, index: number): number {
  return charCodeAt.call(text, index);
}
