/** Says what went wrong, for whoever runs the chat. Runs in: workers. */
export function report(what, error) {
  // This worker has said goodbye to the others: what it still meant to ask them does not matter any more.
  if (error.code === "HOLDFAST_ERR_CLOSED") return;
  console.error(`${what}:`, error);
}
