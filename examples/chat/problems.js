/** Says what went wrong, for whoever runs the chat. Runs in: workers. */
export function report(what, error) {
  // This worker has said goodbye to the others: what it still wanted to ask them no longer matters.
  if (error.code === "HOLDFAST_ERR_CLOSED") return;
  console.error(`${what}:`, error);
}
