/** One HTTP request with its whole answer. Runs in: tests. */
import { type IncomingHttpHeaders, type IncomingMessage, type RequestOptions, request } from "node:http";
import { within } from "./within.js";

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly response: IncomingMessage;
}

/**
 * Unlike `fetch()`, it takes a connection of its own unless an agent is given, and whatever `http.request()` takes:
 * a local address, a Unix socket, header fields in any case.
 */
export async function httpRequest(
  url: string,
  options: RequestOptions = {},
  body?: string | Buffer,
): Promise<HttpAnswer> {
  const answer = new Promise<HttpAnswer>((resolve, reject) => {
    const outgoing = request(url, { agent: false, ...options }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("error", reject);
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, response });
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
  return within(answer, `answer to ${options.method ?? "GET"} ${url}`);
}
