/**
 * Which members may have a socket in which room: the hub's table, by room key.
 * A superset of the truth: a key is dropped only when its member says so or is gone.
 * Owns: the table. Runs in: primary.
 *
 * Members have slots; 30 slots make a bank, and each bank maps keys to a mask of its slots. So a room costs
 * one entry per bank, and up to 30 workers need one bank only.
 */
import { KeyTable } from "../wire/key-table.js";

/** Masks stay within 30 bits, so that V8 keeps them unboxed. */
const BANK_SLOTS = 30;
const ALL_SLOTS = 2 ** BANK_SLOTS - 1;

interface Bank {
  /** What members reported. */
  readonly reported: KeyTable;
  /** What commands on their way may add to that. */
  readonly claimed: KeyTable;
  /** Slots that belong to a member. */
  taken: number;
}

export class Interest {
  readonly #banks: Bank[] = [];

  /** Rooms by key; a room in several banks counts once in each. */
  get size(): number {
    return this.#banks.reduce((sum, { reported }) => sum + reported.size, 0);
  }

  get bankCount(): number {
    return this.#banks.length;
  }

  /** Gives a member a slot of its own. */
  allot(): number {
    let index = this.#banks.findIndex(({ taken }) => taken !== ALL_SLOTS);
    if (index === -1) {
      index = this.#banks.push({ reported: new KeyTable(), claimed: new KeyTable(), taken: 0 }) - 1;
    }
    const bank = this.#banks[index] as Bank;
    const bit = ~bank.taken & -~bank.taken;
    bank.taken |= bit;
    return slotOf(index, bit);
  }

  /** The member is gone, and its keys with it. */
  release(slot: number): void {
    const bank = this.#bank(slot);
    const bit = bitOf(slot);
    bank.taken &= ~bit;
    bank.reported.clearBits(bit);
    bank.claimed.clearBits(bit);
  }

  /** The member has a socket in the room. */
  add(slot: number, key: number): void {
    this.#bank(slot).reported.setBits(key, bitOf(slot));
  }

  /** The member has no socket in the room any more. */
  remove(slot: number, key: number): void {
    this.#bank(slot).reported.unsetBits(key, bitOf(slot));
  }

  /** A command on its way may make sockets of the member join the room. */
  claim(slot: number, key: number): void {
    this.#bank(slot).claimed.setBits(key, bitOf(slot));
  }

  /** All such commands have been carried out. */
  unclaim(slot: number, key: number): void {
    this.#bank(slot).claimed.unsetBits(key, bitOf(slot));
  }

  /** The slots of one bank that may have a socket in the room, as a mask for {@link slotOf}. */
  mask(bank: number, key: number): number {
    const { reported, claimed } = this.#banks[bank] as Bank;
    const mask = reported.get(key);
    return claimed.size === 0 ? mask : mask | claimed.get(key);
  }

  #bank(slot: number): Bank {
    return this.#banks[Math.floor(slot / BANK_SLOTS)] as Bank;
  }
}

/** The slot that a single bit of a bank's mask stands for. */
export function slotOf(bank: number, bit: number): number {
  return bank * BANK_SLOTS + (31 - Math.clz32(bit));
}

function bitOf(slot: number): number {
  return 1 << (slot % BANK_SLOTS);
}
