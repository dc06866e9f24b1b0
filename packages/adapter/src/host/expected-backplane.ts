/** Whether a hub that another process has opened joins those of other hosts as this process wants it. Runs in: workers. */
import { HoldfastError } from "../errors.js";
import type { Member } from "../member/member.js";
import type { Welcome } from "../wire/handshake.js";

/**
 * Tells the member if it does not.
 * @param expected the name of the backplane that `createAdapter()` was given; undefined if none was
 */
export function checkBackplane(member: Member, { backplane }: Welcome, expected: string | undefined): void {
  if (expected === undefined || backplane === expected) return;
  const has = backplane === "" ? "none" : `another one, "${backplane}"`;
  member.warn(
    new HoldfastError(
      "HOLDFAST_ERR_INVALID_OPTION",
      `createAdapter() was given the backplane "${expected}", but the hub of this process has ${has}: it was opened by ` +
        "setupPrimary(), by a worker without this option, or by an operator. Give it the backplane there.",
    ),
  );
}
