/**
 * Header fields on their way through the forwarder.
 * Owns: nothing; pure. Runs in: workers.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
 */

/** Fields that concern one connection only. */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);
/** Fields that "Connection" must not take away: without them the message would mean something else. */
const INDISPENSABLE = new Set(["content-length", "host"]);

/**
 * The end-to-end fields of a message, in its order and spelling, as `[name, value, name, value, …]`.
 * @param raw `rawHeaders` of the message
 * @param connection its "connection" field, which names further fields of one connection only
 */
export function endToEnd(raw: readonly string[], connection: string | undefined): string[] {
  const dropped = connection === undefined ? HOP_BY_HOP : withNominated(connection);
  const kept: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    // Names that start with ":" are pseudo-header fields of HTTP/2.
    if (dropped.has(name.toLowerCase()) || name.startsWith(":")) continue;
    kept.push(name, raw[i + 1] as string);
  }
  return kept;
}

function withNominated(connection: string): Set<string> {
  const dropped = new Set(HOP_BY_HOP);
  for (const option of connection.split(",")) {
    const name = option.trim().toLowerCase();
    if (!INDISPENSABLE.has(name)) dropped.add(name);
  }
  return dropped;
}

/**
 * Writes the head of a parsed request again, for a connection that changes the process in mid-request.
 * `undefined` if a part of it could end a line early; Node's parser lets no such part through.
 */
export function writeHead(method: string, target: string, raw: readonly string[]): string | undefined {
  let head = `${method} ${target} HTTP/1.1\r\n`;
  for (let i = 0; i + 1 < raw.length; i += 2) head += `${raw[i]}: ${raw[i + 1]}\r\n`;
  const lines = 1 + raw.length / 2;
  return countLineEnds(head) === lines ? `${head}\r\n` : undefined;
}

function countLineEnds(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x0a) count++;
    else if (code === 0x0d && text.charCodeAt(i + 1) !== 0x0a) return -1;
  }
  return count;
}
