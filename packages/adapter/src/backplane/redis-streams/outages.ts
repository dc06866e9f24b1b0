/** Why a host is not one of several at the moment, as errors. Pure. Runs in: where the hub is. */
import { HoldfastError } from "../../errors.js";

/** @param answer what a script has said instead of OK, or a word of this package */
export function lostMembership(answer: string): HoldfastError {
  const reason: Record<string, string> = {
    FENCED: "this host was silent for too long and was taken for gone",
    LOST: "it has lost its data",
    GAP: "this host has missed what others have told",
  };
  return new HoldfastError(
    "HOLDFAST_ERR_BACKPLANE_DOWN",
    `Redis: ${reason[answer] ?? answer}. Joining anew.`,
  );
}

/** Whatever has ended a membership. */
export function asDown(error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new HoldfastError("HOLDFAST_ERR_BACKPLANE_DOWN", `Redis refuses: ${message}.`, { cause: error });
}
