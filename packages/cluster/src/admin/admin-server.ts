/**
 * The admin server: health, metrics, status, the dashboard, and orders.
 * Owns: an `http.Server` and its connections. Runs in: primary.
 * Knows nothing of supervisor, hub and router: what it tells and orders comes from its {@link AdminSource}.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { PAGE_FILES } from "../dashboard/page-files.js";
import type { ActionName, LiveStatus } from "../live-status.js";
import { Gate } from "./gate.js";
import { answer, answerJson } from "./http-answers.js";
import { isLoopback } from "./loopback.js";
import { readJson } from "./request-body.js";
import { Viewers } from "./viewers.js";

/** Where the server's answers come from. */
export interface AdminSource {
  /** What `/api/status` and the dashboard show. */
  status(): LiveStatus;
  /** Why the cluster does not take connections now; empty if it does. */
  unready(): readonly string[];
  /** What `/metrics` says, and its type. */
  metrics(): Promise<{ readonly type: string; readonly text: string }>;
  /** Carries orders out; those that are missing are not offered. */
  readonly actions: { readonly [Name in ActionName]?: Action };
}

/**
 * Begins to carry an order out.
 * @returns what happens now, in a sentence
 * @throws {BadOrder} if it cannot be
 */
export type Action = (parameters: Readonly<Record<string, unknown>>) => string | Promise<string>;

/** An order that cannot be carried out. */
export class BadOrder extends Error {
  /** 400: it makes no sense; 409: it does not go with what is going on. */
  readonly status: 400 | 409;

  constructor(status: 400 | 409, message: string) {
    super(message);
    this.status = status;
  }
}

export interface AdminServerOptions {
  readonly port: number;
  readonly host: string;
  readonly token: string | undefined;
  readonly onError: (error: Error) => void;
}

const MAX_CONNECTIONS = 256;
const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

export class AdminServer {
  readonly #source: AdminSource;
  readonly #gate: Gate;
  readonly #viewers: Viewers;
  readonly #onError: (error: Error) => void;
  readonly #server: Server;

  private constructor(source: AdminSource, { host, token, onError }: AdminServerOptions) {
    this.#source = source;
    this.#gate = new Gate(token, !isLoopback(host));
    this.#viewers = new Viewers(() => this.#status());
    this.#onError = onError;
    this.#server = createServer(
      {
        maxHeaderSize: 16_384,
        headersTimeout: 10_000,
        requestTimeout: 15_000,
        keepAliveTimeout: 5_000,
        // By default Node.js looks for those that are late every half minute.
        connectionsCheckingInterval: 1_000,
      },
      (request, response) => void this.#onRequest(request, response),
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on("clientError", (_error, socket) => socket.destroy());
    this.#server.unref();
  }

  /** Listens; rejects with the system's error if it cannot. */
  static async open(source: AdminSource, options: AdminServerOptions): Promise<AdminServer> {
    const admin = new AdminServer(source, options);
    const listening = once(admin.#server, "listening");
    // In the primary, node:cluster has no part in it.
    admin.#server.listen({ port: options.port, host: options.host });
    await listening;
    admin.#server.on("error", options.onError);
    return admin;
  }

  /** Where the dashboard is. */
  get url(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    return `http://${family === "IPv6" ? `[${address}]` : address}:${port}/`;
  }

  /** Stops; who follows the cluster is cut off. Calling it again changes nothing. */
  async close(): Promise<void> {
    this.#viewers.close();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #status(): LiveStatus {
    const status = this.#source.status();
    return this.#gate.takesOrders ? status : { ...status, actions: [] };
  }

  async #onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => response.destroy());
    request.on("error", () => {});
    try {
      await this.#route(request, response);
    } catch (error) {
      this.#onError(error as Error);
      if (response.headersSent) response.destroy();
      else answerJson(response, 500, { message: "This failed; see the log of the primary." });
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    const isRead = request.method === "GET" || request.method === "HEAD";
    if (path.startsWith("/api/") && request.method === "POST") {
      return this.#order(path.slice("/api/".length), request, response);
    }
    if (!isRead) return answerJson(response, 405, { message: "Only GET here." }, { Allow: "GET, HEAD" });
    switch (path) {
      case "/healthz":
        return answerJson(response, 200, { status: "ok" });
      case "/readyz":
        return this.#answerReady(response);
    }
    const file = path === "/" ? "index.html" : path.slice(1);
    // The page itself is no secret; what it shows is.
    if (Object.hasOwn(PAGE_FILES, file)) {
      return answer(
        response,
        200,
        TYPES[file.slice(file.lastIndexOf(".") + 1)] ?? "",
        PAGE_FILES[file] ?? "",
      );
    }
    const objection = this.#gate.objectToReading(request);
    if (objection) return refuse(response, objection);
    switch (path) {
      case "/metrics":
        return this.#answerMetrics(response);
      case "/api/status":
        return answerJson(response, 200, this.#status());
      case "/api/events":
        return this.#viewers.add(response);
      default:
        answerJson(response, 404, { message: "There is nothing here." });
    }
  }

  #answerReady(response: ServerResponse): void {
    const reasons = this.#source.unready();
    if (reasons.length === 0) return answerJson(response, 200, { status: "ready" });
    answerJson(response, 503, { status: "unready", reasons });
  }

  async #answerMetrics(response: ServerResponse): Promise<void> {
    const { type, text } = await this.#source.metrics();
    answer(response, 200, type, text);
  }

  async #order(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const objection = this.#gate.objectToOrder(request);
    if (objection) return refuse(response, objection);
    const { actions } = this.#source;
    const action = Object.hasOwn(actions, name) ? actions[name as ActionName] : undefined;
    if (!action) return refuse(response, { status: 404, message: "There is no such order." });
    const body = await readJson(request);
    if ("status" in body) return refuse(response, body);
    try {
      answerJson(response, 202, { message: await action(body.value) });
    } catch (error) {
      if (!(error instanceof BadOrder)) throw error;
      refuse(response, error);
    }
  }
}

/** What was sent along and not read would be taken for the next request, so the connection ends. */
function refuse(response: ServerResponse, { status, message }: { status: number; message: string }): void {
  const challenge: Record<string, string> = status === 401 ? { "WWW-Authenticate": "Bearer" } : {};
  answerJson(response, status, { message }, { Connection: "close", ...challenge });
}
