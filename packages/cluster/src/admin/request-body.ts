/** Reads the small JSON body of an order. Owns: nothing. Runs in: primary. */
import type { IncomingMessage } from "node:http";

const MAX_BYTES = 4_096;

/** The object that was sent, or what is wrong with it. */
export async function readJson(
  request: IncomingMessage,
): Promise<
  | { readonly value: Readonly<Record<string, unknown>> }
  | { readonly status: 400 | 413 | 415; readonly message: string }
> {
  const type = request.headers["content-type"] ?? "";
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    return { status: 415, message: "Send Content-Type: application/json." };
  }
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    // Leaving the loop must not end the connection: the answer is still to go out.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_BYTES) return { status: 413, message: `An order has at most ${MAX_BYTES} bytes.` };
      chunks.push(chunk);
    }
  } catch {
    // It was given up on the way; nobody is left to read the answer.
    return { status: 400, message: "The body is not complete." };
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8") || "{}");
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return { value: value as Record<string, unknown> };
    }
  } catch {
    // Answered below.
  }
  return { status: 400, message: "The body must be a JSON object." };
}
