/**
 * Which members may have a socket in which room of one namespace: the hub's table, by room key.
 * A superset of the truth: a key is dropped only when its member says so, or has left the namespace.
 * Owns: the table. Runs in: where the hub is.
 *
 * Members have slots; 30 slots make a bank, and each bank maps keys to a mask of its slots. So a room costs
 * one entry per bank, and up to 30 workers need one bank only. Each namespace has a table of its own: what two
 * namespaces call by one key is never taken for one room, and what a namespace took goes when it goes.
 */
import { KeyTable } from "../wire/key-table.js";

/** Masks stay within 30 bits, so that V8 keeps them unboxed. */
const BANK_SLOTS = 30;
const ALL_SLOTS = 2 ** BANK_SLOTS - 1;

/** The slots of the hub's members, the same in every namespace. Owns: which of them are taken. */
export class Slots {
  /** A mask for each bank. */
  readonly #taken: number[] = [];

  get bankCount(): number {
    return this.#taken.length;
  }

  /** Gives a member a slot of its own. */
  allot(): number {
    let bank = this.#taken.findIndex((mask) => mask !== ALL_SLOTS);
    if (bank === -1) bank = this.#taken.push(0) - 1;
    const mask = this.#taken[bank] as number;
    const bit = ~mask & -~mask;
    this.#taken[bank] = mask | bit;
    return slotOf(bank, bit);
  }

  /** The member is gone, and has left every namespace. */
  release(slot: number): void {
    const bank = bankOf(slot);
    this.#taken[bank] = (this.#taken[bank] as number) & ~bitOf(slot);
  }
}

interface Bank {
  /** What members reported. */
  readonly reported: KeyTable;
  /** What commands and sessions on their way may add to that. */
  readonly claimed: KeyTable;
  /** How many keys each slot has reported. */
  readonly counts: Int32Array;
}

/** Hears of each reason for which a room is wanted, once for each member that has one. */
export interface InterestWatcher {
  add(key: number): void;
  remove(key: number): void;
}

export class Interest {
  readonly #banks: Bank[] = [];
  readonly #watcher: InterestWatcher | undefined;

  constructor(watcher?: InterestWatcher) {
    this.#watcher = watcher;
  }

  /** Rooms by key; a room in several banks counts once in each. */
  get size(): number {
    return this.#banks.reduce((sum, { reported }) => sum + reported.size, 0);
  }

  get bankCount(): number {
    return this.#banks.length;
  }

  /** Rooms that the member has reported. */
  sizeOf(slot: number): number {
    return this.#banks[bankOf(slot)]?.counts[slot % BANK_SLOTS] ?? 0;
  }

  /** What the member reports; for one frame, which may have many keys. */
  reportsOf(slot: number): Reports {
    return new Reports(this.#bank(slot), slot, this.#watcher);
  }

  /**
   * The member has no socket in the namespace any more. Costs nothing when it has taken back what it reported; else
   * the whole table is gone through.
   */
  removeAll(slot: number): void {
    const bank = this.#banks[bankOf(slot)];
    if (!bank || bank.counts[slot % BANK_SLOTS] === 0) return;
    const watcher = this.#watcher;
    bank.reported.clearBits(bitOf(slot), watcher && ((key) => watcher.remove(key)));
    bank.counts[slot % BANK_SLOTS] = 0;
  }

  /** Something on its way may make sockets of the member join the room. */
  claim(slot: number, key: number): void {
    if (this.#bank(slot).claimed.setBits(key, bitOf(slot))) this.#watcher?.add(key);
  }

  /** Nothing may any more. */
  unclaim(slot: number, key: number): void {
    if (this.#bank(slot).claimed.unsetBits(key, bitOf(slot))) this.#watcher?.remove(key);
  }

  /** The slots of one bank that may have a socket in the room, as a mask for {@link slotOf}. */
  mask(bank: number, key: number): number {
    const { reported, claimed } = this.#banks[bank] as Bank;
    const mask = reported.get(key);
    return claimed.size === 0 ? mask : mask | claimed.get(key);
  }

  #bank(slot: number): Bank {
    const index = bankOf(slot);
    while (this.#banks.length <= index) {
      this.#banks.push({
        reported: new KeyTable(),
        claimed: new KeyTable(),
        counts: new Int32Array(BANK_SLOTS),
      });
    }
    return this.#banks[index] as Bank;
  }
}

/** What one member reports of the rooms of one namespace. */
class Reports {
  readonly #reported: KeyTable;
  readonly #counts: Int32Array;
  readonly #place: number;
  readonly #bit: number;
  readonly #watcher: InterestWatcher | undefined;

  constructor({ reported, counts }: Bank, slot: number, watcher: InterestWatcher | undefined) {
    this.#reported = reported;
    this.#counts = counts;
    this.#place = slot % BANK_SLOTS;
    this.#bit = bitOf(slot);
    this.#watcher = watcher;
  }

  /** The member has a socket in the room. @returns whether that is news */
  add(key: number): boolean {
    if (!this.#reported.setBits(key, this.#bit)) return false;
    (this.#counts[this.#place] as number)++;
    this.#watcher?.add(key);
    return true;
  }

  /** The member has no socket in the room any more. */
  remove(key: number): void {
    if (!this.#reported.unsetBits(key, this.#bit)) return;
    (this.#counts[this.#place] as number)--;
    this.#watcher?.remove(key);
  }
}

/** The slot that a single bit of a bank's mask stands for. */
export function slotOf(bank: number, bit: number): number {
  return bank * BANK_SLOTS + (31 - Math.clz32(bit));
}

/** The bank of a slot, and the slot's bit in the bank's masks. */
export function bankOf(slot: number): number {
  return Math.floor(slot / BANK_SLOTS);
}

export function bitOf(slot: number): number {
  return 1 << (slot % BANK_SLOTS);
}
