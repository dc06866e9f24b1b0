/**
 * Answers one request of another member: any number of answers, the last of them final.
 * Owns: whether the final answer has been given. Runs in: workers.
 */
import { messageOf } from "../errors.js";
import { ResponseFlag } from "../wire/frame.js";
import { packValue } from "../wire/values.js";

/** What an error says is cut here: the one who asks need not read a book. */
const MAX_ERROR_CHARS = 1_000;

/** Sends a response, or throws and sends nothing. */
export type SendResponse = (flags: number, value: Uint8Array | undefined) => void;

export class Responder {
  /** How many bytes one answer may have. */
  readonly maxBytes: number;
  readonly #send: SendResponse;
  // open → done, by the first final answer that could be sent
  #state: "open" | "done" = "open";

  constructor(maxBytes: number, send: SendResponse) {
    this.maxBytes = maxBytes;
    this.#send = send;
  }

  /**
   * One answer of possibly several; ignored after the last.
   * @throws {HoldfastError} `HOLDFAST_ERR_UNSERIALIZABLE`, `HOLDFAST_ERR_MESSAGE_TOO_LARGE`; it can be given anew
   */
  respond(value: unknown): void {
    this.#answer(0, value);
  }

  /** The last answer; otherwise like {@link respond}. */
  finish(value: unknown): void {
    this.#answer(ResponseFlag.final, value);
  }

  /** One answer that has been encoded. */
  respondEncoded(bytes: Uint8Array): void {
    if (this.#state === "open") this.#send(0, bytes);
  }

  /** There is no more to say. */
  end(): void {
    if (this.#state === "done") return;
    this.#state = "done";
    this.#send(ResponseFlag.final, undefined);
  }

  /** The request could not be carried out. */
  fail(error: unknown): void {
    if (this.#state === "done") return;
    this.#state = "done";
    this.#send(
      ResponseFlag.final | ResponseFlag.error,
      packValue(messageOf(error).slice(0, MAX_ERROR_CHARS)),
    );
  }

  #answer(flags: number, value: unknown): void {
    if (this.#state === "done") return;
    const bytes = packValue(value, this.maxBytes);
    // Code of the application may have run, and answered.
    if ((this.#state as "open" | "done") === "done") return;
    this.#send(flags, bytes);
    if (flags !== 0) this.#state = "done";
  }
}
