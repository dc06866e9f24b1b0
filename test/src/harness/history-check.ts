/**
 * Judges what the clients of a cluster received. Pure: it sees recorded histories only.
 *
 * Every message carries the place that the hub gave it. If each place stands for one message everywhere, and
 * places rise at every client, then there is one order that all clients saw. What a client is owed then follows:
 * every message to its rooms between the first and the last place of a session.
 */

/** One message as a client received it. */
export interface Message {
  readonly type: "message";
  readonly sender: string;
  /** Rises by one for each message of the sender. */
  readonly number: number;
  /** Undefined for a message to everybody. */
  readonly room: string | undefined;
  /** Where the hub put it among all messages: 1, 2, … */
  readonly place: number;
}

/** Connected, with the session that it had or with a new one. */
export interface Connect {
  readonly type: "connect";
  readonly recovered: boolean;
}

/** What one client lived through, in order. */
export interface ClientHistory {
  readonly client: string;
  readonly rooms: readonly string[];
  /**
   * A new session is owed everything from the first message to this room on. @default everything from its first message on
   */
  readonly greetingRoom?: string;
  readonly events: readonly (Message | Connect)[];
}

export interface Finding {
  readonly kind: "foreign" | "doubled" | "lost" | "reordered";
  /** Undefined where it is nobody's alone. */
  readonly client: string | undefined;
  readonly detail: string;
}

/** Everything that is wrong; empty if every promise was kept. */
export function check(clients: readonly ClientHistory[]): Finding[] {
  const placed = new Map<number, Message>();
  const findings: Finding[] = [];
  for (const { client, events } of clients) {
    for (const event of events) {
      if (event.type !== "message") continue;
      const known = placed.get(event.place);
      if (!known) placed.set(event.place, event);
      else if (nameOf(known) !== nameOf(event)) {
        const detail = `place ${event.place} is ${nameOf(known)} elsewhere and ${nameOf(event)} here`;
        findings.push({ kind: "reordered", client, detail });
      }
    }
  }
  const order = [...placed.values()].sort((a, b) => a.place - b.place);
  findings.push(...checkPlaces(order), ...checkSenders(order));
  for (const history of clients) findings.push(...checkClient(history, order));
  return findings;
}

/** How many of the reconnections kept their session. */
export function recoveredShare(clients: readonly ClientHistory[]): { recovered: number; of: number } {
  let [recovered, of] = [0, 0];
  for (const { events } of clients) {
    const connects = events.filter((event) => event.type === "connect");
    of += Math.max(0, connects.length - 1);
    recovered += connects.slice(1).filter((event) => event.recovered).length;
  }
  return { recovered, of };
}

/** Every room has a member, so a place that nobody knows is a message that nobody got. */
function checkPlaces(order: readonly Message[]): Finding[] {
  const findings: Finding[] = [];
  for (let i = 1; i < order.length; i++) {
    const [before, after] = [(order[i - 1] as Message).place, (order[i] as Message).place];
    if (after === before + 1) continue;
    const detail = `nobody got what is between place ${before} and ${after}`;
    findings.push({ kind: "lost", client: undefined, detail });
  }
  return findings;
}

/** A sender's messages stand in the order in which it sent them, each once and without a gap. */
function checkSenders(order: readonly Message[]): Finding[] {
  const findings: Finding[] = [];
  const last = new Map<string, number>();
  for (const message of order) {
    const before = last.get(message.sender) ?? message.number - 1;
    if (message.number !== before + 1) {
      const kind = message.number === before ? "doubled" : message.number < before ? "reordered" : "lost";
      findings.push({ kind, client: undefined, detail: `${nameOf(message)} stands after ${before}` });
    }
    last.set(message.sender, Math.max(before, message.number));
  }
  return findings;
}

function checkClient(
  { client, rooms, greetingRoom, events }: ClientHistory,
  order: readonly Message[],
): Finding[] {
  const findings: Finding[] = [];
  const own = new Set<string | undefined>([undefined, ...rooms]);
  const seen = new Set<string>();
  for (const session of sessionsOf(events)) {
    let place = 0;
    for (const message of session) {
      const name = nameOf(message);
      if (!own.has(message.room))
        findings.push({ kind: "foreign", client, detail: `${name} to ${message.room}` });
      if (seen.has(name)) findings.push({ kind: "doubled", client, detail: name });
      else if (message.place < place) findings.push({ kind: "reordered", client, detail: name });
      seen.add(name);
      place = Math.max(place, message.place);
    }
    const got = new Set(session.map(nameOf));
    const first = greetingRoom === undefined ? session[0] : session.find(({ room }) => room === greetingRoom);
    for (const owed of between(order, first?.place ?? place + 1, place)) {
      if (own.has(owed.room) && !got.has(nameOf(owed))) {
        findings.push({ kind: "lost", client, detail: `${nameOf(owed)} at place ${owed.place}` });
      }
    }
  }
  return findings;
}

/** The messages of each session; a new one may have missed what came before it. */
function sessionsOf(events: ClientHistory["events"]): Message[][] {
  const sessions: Message[][] = [[]];
  for (const event of events) {
    if (event.type === "message") sessions.at(-1)?.push(event);
    else if (!event.recovered) sessions.push([]);
  }
  return sessions;
}

function between(order: readonly Message[], first: number, last: number): readonly Message[] {
  return order.slice(indexOf(order, first), indexOf(order, last + 1));
}

/** Index of the first message at `place` or after it. */
function indexOf(order: readonly Message[], place: number): number {
  let [low, high] = [0, order.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((order[middle] as Message).place < place) low = middle + 1;
    else high = middle;
  }
  return low;
}

function nameOf({ sender, number }: Message): string {
  return `${sender}:${number}`;
}
