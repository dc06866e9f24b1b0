/**
 * Those who follow the cluster: an event stream for each.
 * Owns: their answers until they are closed, and one timer while there are some. Runs in: primary.
 *
 * A viewer that reads too slowly gets fewer moments, not later ones: while its last one has not gone out, it gets none.
 * The history, which is long and changes seldom, is sent only when it has changed.
 */
import type { ServerResponse } from "node:http";
import type { LiveStatus } from "../live-status.js";
import { answerJson, begin } from "./http-answers.js";

const EVERY_MS = 1_000;
/** Viewers cost the primary some work each second. */
const MAX_VIEWERS = 64;
/** A viewer that takes nothing for so long is gone. */
const STUCK_MS = 30_000;

interface Viewer {
  historyEndsAt: number;
  stuckSince: number | undefined;
}

export class Viewers {
  readonly #status: () => LiveStatus;
  readonly #viewers = new Map<ServerResponse, Viewer>();
  #timer: NodeJS.Timeout | undefined;

  constructor(status: () => LiveStatus) {
    this.#status = status;
  }

  get size(): number {
    return this.#viewers.size;
  }

  add(response: ServerResponse): void {
    // Node.js tells nobody of the end of an answer that waits behind another one on its connection.
    if (!response.socket) {
      answerJson(response, 400, { message: "An event stream needs a connection of its own." });
      return;
    }
    if (this.#viewers.size >= MAX_VIEWERS) {
      answerJson(response, 503, { message: `${MAX_VIEWERS} are looking already.` }, { "Retry-After": "5" });
      return;
    }
    begin(response, 200, { "Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no" });
    if (response.req.method === "HEAD") return void response.end();
    const viewer: Viewer = { historyEndsAt: 0, stuckSince: undefined };
    this.#viewers.set(response, viewer);
    response.on("error", () => response.destroy());
    response.on("close", () => this.#remove(response));
    this.#timer ??= setInterval(() => this.#tick(), EVERY_MS).unref();
    this.#tell(response, viewer, encode(this.#status()));
  }

  close(): void {
    for (const response of this.#viewers.keys()) response.destroy();
    this.#viewers.clear();
    this.#stop();
  }

  #tick(): void {
    const encoded = encode(this.#status());
    for (const [response, viewer] of this.#viewers) this.#tell(response, viewer, encoded);
  }

  #tell(response: ServerResponse, viewer: Viewer, { endsAt, history, moment }: Encoded): void {
    if (response.writableNeedDrain) {
      viewer.stuckSince ??= performance.now();
      if (performance.now() - viewer.stuckSince > STUCK_MS) response.destroy();
      return;
    }
    viewer.stuckSince = undefined;
    if (viewer.historyEndsAt === endsAt) response.write(moment());
    else response.write(history() + moment());
    viewer.historyEndsAt = endsAt;
  }

  #remove(response: ServerResponse): void {
    this.#viewers.delete(response);
    if (this.#viewers.size === 0) this.#stop();
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

interface Encoded {
  readonly endsAt: number;
  history(): string;
  moment(): string;
}

/** One text for all viewers, made when the first one needs it. */
function encode({ history, ...moment }: LiveStatus): Encoded {
  return {
    endsAt: history.endsAt,
    history: once(() => `event: history\ndata: ${JSON.stringify(history)}\n\n`),
    moment: once(() => `event: status\ndata: ${JSON.stringify(moment)}\n\n`),
  };
}

function once(make: () => string): () => string {
  let made: string | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
