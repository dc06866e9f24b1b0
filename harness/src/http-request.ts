/** One HTTP request with its whole answer. Runs in: tests. */
import { type IncomingHttpHeaders, type RequestOptions, request } from "node:http";
import { within } from "./within.js";

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Equal ports are one connection. */
  readonly localPort: number;
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
      const { statusCode: status = 0, headers, socket } = response;
      // It is given back when the answer has ended, and has no port then.
      const { localPort = 0 } = socket;
      response.on("error", reject);
      response.on("end", () => resolve({ status, headers, text, localPort }));
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
  return within(answer, `answer to ${options.method ?? "GET"} ${url}`);
}
