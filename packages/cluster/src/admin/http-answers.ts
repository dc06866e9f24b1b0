/**
 * What every answer of the admin server has in common: nothing is cached, framed, sniffed or loaded from elsewhere.
 * Owns: nothing; pure. Runs in: primary.
 */
import type { ServerResponse } from "node:http";

const HEADERS: Readonly<Record<string, string>> = {
  "Cache-Control": "no-store",
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
};

/** Begins an answer. */
export function begin(response: ServerResponse, status: number, headers: Record<string, string>): void {
  response.writeHead(status, { ...HEADERS, ...headers });
}

/** Answers with a text. */
export function answer(
  response: ServerResponse,
  status: number,
  type: string,
  text: string,
  headers: Record<string, string> = {},
): void {
  const body = Buffer.from(text);
  begin(response, status, { "Content-Type": type, "Content-Length": String(body.length), ...headers });
  response.end(body);
}

/** Answers with JSON. */
export function answerJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  answer(response, status, "application/json; charset=utf-8", `${JSON.stringify(value)}\n`, headers);
}
