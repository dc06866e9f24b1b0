/**
 * Streams of this worker whose other ends are on their way: the worker that has the client's connection calls with the
 * stream's token, over whichever link.
 * Owns: the streams until then, calls that came before their streams, and their timers. Runs in: workers, at the owner.
 */
import { encodeFrame, FrameType, type StreamToken } from "../wire/link-frame.js";
import type { LinkStreams } from "./link-streams.js";
import type { RelayedSocket } from "./relayed-socket.js";

/** How long the one may come after the other: as long as a session on its way may be without progress. */
const AWAIT_MS = 10_000;

interface Call {
  readonly link: LinkStreams;
  /** Number of the stream on the link. */
  readonly id: number;
  readonly timer: NodeJS.Timeout;
}

export class AwaitedStreams {
  readonly #streams = new Map<StreamToken, RelayedSocket>();
  readonly #calls = new Map<StreamToken, Call>();
  /** Those that were closed before they were called for. */
  readonly #over = new Map<StreamToken, NodeJS.Timeout>();

  /** Each end of the stream may go on in another process. Whoever gets the client's connection calls. */
  follow(stream: RelayedSocket): void {
    stream.canMove = true;
    stream.on("moved", (token) => this.add(token, stream));
  }

  /** The stream goes on when its other end calls. Where that does not happen in time, it is destroyed. */
  add(token: StreamToken, stream: RelayedSocket): void {
    const call = this.#calls.get(token);
    if (call) {
      clearTimeout(call.timer);
      this.#calls.delete(token);
      return takeUp(stream, call.link, call.id);
    }
    const timer = setTimeout(() => stream.destroy(), AWAIT_MS).unref();
    this.#streams.set(token, stream);
    const onClosed = () => {
      clearTimeout(timer);
      this.#forget(token, stream);
      this.refuse(token);
    };
    stream.prependOnceListener("close", onClosed);
    stream.once("resumed", () => {
      clearTimeout(timer);
      stream.off("close", onClosed);
    });
  }

  /** There will be no stream for who calls with this token, or has called. */
  refuse(token: StreamToken): void {
    const call = this.#calls.get(token);
    if (call) {
      clearTimeout(call.timer);
      this.#calls.delete(token);
      refuse(call.link, call.id);
    }
    this.#over.set(token, setTimeout(() => this.#over.delete(token), AWAIT_MS).unref());
  }

  /** The other end of a stream calls. */
  onResume(token: StreamToken, link: LinkStreams, id: number): void {
    const stream = this.#streams.get(token);
    if (stream) {
      this.#forget(token, stream);
      return takeUp(stream, link, id);
    }
    if (this.#over.has(token) || this.#calls.has(token)) return refuse(link, id);
    const giveUp = () => {
      this.#calls.delete(token);
      refuse(link, id);
    };
    this.#calls.set(token, { link, id, timer: setTimeout(giveUp, AWAIT_MS).unref() });
  }

  #forget(token: StreamToken, stream: RelayedSocket): void {
    if (this.#streams.get(token) === stream) this.#streams.delete(token);
  }
}

/** It may have been destroyed in this turn. */
function takeUp(stream: RelayedSocket, link: LinkStreams, id: number): void {
  if (stream.destroyed) refuse(link, id);
  else link.takeUp(stream, id);
}

function refuse(link: LinkStreams, id: number): void {
  link.send(encodeFrame(FrameType.refuse, id));
}
