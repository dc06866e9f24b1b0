/**
 * The frames on a link: one table of numbers, one reader of headers.
 * All integers are unsigned and little-endian. Runs in: primary and workers.
 *
 *     0        4     5      6      8            12
 *     | length | kind| flags| keys | namespace  | keys × u32 | fields of the kind …
 *
 * `length` counts the whole frame. The hub reads the header and the keys; what follows is for workers.
 *
 * Longer than other files: whoever changes the protocol has all of it before their eyes.
 */

/** Agreed in the handshake. Whoever changes anything below changes this number. */
export const PROTOCOL_VERSION = 6;

/** Volatile packets are dropped once this part of the allowed backlog waits. */
export const VOLATILE_SHARE = 1 / 16;

export const HEADER_BYTES = 12;
export const KEY_BYTES = 4;

/** Frame kinds; the numbers are part of the protocol. */
export const FrameKind = {
  // A worker tells the hub.
  /**
   * u32 token, u64 time since when the server is there; with {@link OpenFlag}.recovery u32 ms that a session lives without a socket and u32 ms that
   * packets are kept; utf16 name. The worker has a server with this namespace.
   */
  open: 1,
  /** The worker's server closed the namespace. */
  close: 2,
  /**
   * u32 sequence, or 0 if nobody waits for `synced`; u64 time of the oldest join in this report, or 0 if there is
   * none or more frames of the report follow; then u32 × n: key × 2 + 1 for "a socket is in this room", key × 2
   * for "none is left". The flags are those of {@link interestFlags}.
   */
  interest: 3,
  /** A command with claims has been carried out. */
  settled: 4,
  /** u32 member. The worker leaves the hub. */
  leave: 5,
  /** u32 request. How many workers have the namespace? */
  count: 6,
  /** u32 handle, text private id, text sid, names rooms. A socket has connected. */
  sessionOpen: 7,
  /** u32 handle, u8 1 for joined or 0 for left, names rooms. */
  sessionRooms: 8,
  /** u32 handle, value. What `socket.data` is now. */
  sessionData: 9,
  /** u32 handle. The socket is gone: for good, or with {@link SessionFlag}.recoverable. */
  sessionEnd: 10,
  /** u32 handle, names rooms. The socket of a restored session has connected. */
  sessionRestored: 11,
  /**
   * u32 handle, u64 time, text private id, text offset. A client wants its session back, and said so at this time of
   * `machineTime()`. `sessionEnd` with the handle withdraws the question.
   */
  restore: 12,
  /** The worker needs long for what it has read: it is busy, not stalled. */
  alive: 13,
  /** u32 request. What does the hub know, and how is its process? */
  observe: 14,
  /** The worker has heard nothing for a while. Is the hub there? */
  ping: 15,

  // A worker tells other workers; keys name the rooms, none means every server of the namespace.
  /** With {@link BroadcastFlag}.offset a u32; names rooms, names except, packet. */
  broadcast: 16,
  /**
   * u32 claims, u32 × claims: rooms that receivers may join by this; then u8 {@link Operation} and what it needs.
   */
  command: 17,
  /** u32 member that asks, u32 request, u8 {@link Operation} and what it needs. */
  request: 18,
  /** u32 member that asked, u32 request, u32 member that answers, value or nothing. */
  response: 19,
  /**
   * u32 how far before the frame's end the place of the offset is, u32 member that sends, names rooms, names except,
   * packet.
   * A broadcast that the hub keeps in its journal. With {@link BroadcastFlag}.echo its sender gets `placed`.
   */
  record: 20,

  // The hub tells a worker.
  /**
   * u32 token, offset of the last packet. The answer to `open`; the header's namespace is the id from now on.
   */
  opened: 32,
  /** u32 request, u32 servers. The answer to `count`. */
  counted: 33,
  /** u32 sequence: the hub acts on all interest up to this frame. */
  synced: 34,
  /** u32 request, then (u32 member, u32 worker id, u32 pid) × n: who was asked. */
  asked: 35,
  /** u32 member. It will send nothing more. */
  left: 36,
  /** Offset. The worker's oldest `record` that asked for it has its place; the worker delivers it now. */
  placed: 37,
  /**
   * u32 handle, offset of the last packet; then, unless there is no such session: text sid, names rooms,
   * u32 length and value, u32 n. The next n frames of the namespace are `record`s, the last ones that the
   * client has missed.
   */
  restored: 38,
  /** u32 handle. The session is wanted elsewhere: close its connection and say `sessionEnd`. */
  fence: 39,
  /** u32 member. Too much waits for it: hold back what may go to it. Goes ahead of what waits. */
  hold: 40,
  /** u32 member. It has taken enough of what waits, or is gone. Goes ahead of what waits. */
  release: 41,
  /** The hub is being closed; nothing comes after this. */
  goodbye: 42,
  /**
   * Servers of the namespace have `connectionStateRecovery` from now on. Only to members that opened it as
   * emitters: what they broadcast are `record`s.
   */
  recoverable: 43,
  /**
   * u32 handle, u32 n. The next n frames of the namespace are `record`s that the client has missed who is to
   * get this session. More may follow, and `restored` does.
   */
  missed: 44,
  /** u32 request, value: the answer to `observe`; nothing if that is larger than a frame may be. */
  observed: 45,
  /** Text. What keys of rooms are made with from now on: the hosts have another seed than this one began with. */
  seed: 46,
  /** The answer to `ping`. */
  pong: 47,
  /** Offset of the last packet. What is placed from now on has places in another order. */
  order: 48,
  /** text code, text message. A failure of the hub that its own process can tell nobody. */
  notice: 60,

  // A hub tells another one.
  /** u32 member that asked, u32 request, then (u32 member, u32 worker id, u32 pid) × n: who was asked here. */
  hostAsked: 70,
  /** u32 number. The next frame is a command with claims, which `hostSettled` is to name so. */
  hostClaim: 71,
  /** u32 number. The command has been carried out here, and what changed by it is told. */
  hostSettled: 72,
  /** u32 number, text private id. The session is wanted: let go of it, and say `hostReleased`. */
  hostFence: 73,
  /** u32 number. The session that `hostFence` has named so is free, or is not here. */
  hostReleased: 74,

  // The move of a session to another worker while its client stays connected.
  /** Worker to hub: u32 handle, u32 worker. Give the session to that worker; its connection follows. */
  sessionMove: 80,
  /**
   * Hub to worker: u32 handle, u8 1 if the session is the other worker's, 0 if it stays. What was placed before has
   * come before; what comes after is for the other worker.
   */
  sessionCut: 81,
  /**
   * Hub to worker: u32 handle, offset of the last packet, text private id, text sid, names rooms, value. The session is
   * this worker's from now on; its connection follows.
   */
  sessionArriving: 82,
  /**
   * Worker to worker, by the key of the sid: text sid, u32 member that sends, u32 number of the packet for that
   * member or 0xffffffff if it wants no acknowledgement, packet. The socket that was left behind writes to its client.
   */
  sessionForward: 83,
  /** Worker to worker: u32 member, text sid, u32 number, value. The client has acknowledged such a packet. */
  sessionAck: 84,
  /** Worker to worker, by the key of the sid: text sid. The connection was lost before it could follow. */
  sessionLost: 85,
  /**
   * Worker to hub, and back as the answer: u32 handle of `sessionArriving`. All that the worker has sent before has been
   * handled, and what was for the session has come as `returned`.
   */
  sessionHeard: 86,
  /**
   * Hub to worker: the next frame of the namespace is one that the worker has sent itself, before it has heard of sessions
   * that are its own since. It is for those alone.
   */
  returned: 87,

  /** Worker to hub: u32 how many `seed`s it has heard. The keys of its frames that come after this are made with the last. */
  reseeded: 88,
} as const;

/** What a command or request asks for, and what it needs for that; the numbers are part of the protocol. */
export const Operation = {
  /** Names rooms, names except: whom; names of the rooms to join. */
  socketsJoin: 1,
  /** The same, of the rooms to leave. */
  socketsLeave: 2,
  /** Names rooms, names except, u8 1 to close the connections below. */
  disconnectSockets: 3,
  /** A value: the arguments. */
  serverSideEmit: 4,
  /** Names rooms, names except. */
  fetchSockets: 5,
  /** u32 milliseconds, names rooms, names except, packet. */
  broadcastWithAck: 6,
} as const;

/** Flags of frames that workers tell other workers. */
export const KeyFlag = {
  /** Its keys and its claims are made with a seed that is not used any more: whoever has the namespace may be meant. */
  void: 128,
} as const;

/** Flags of `open`. */
export const OpenFlag = {
  /** The worker reports no interest: relay everything of the namespace. */
  everything: 1,
  /** It only sends: it is not counted among the servers, and gets no broadcast and no request. */
  emitter: 2,
  /** The server has `connectionStateRecovery`. */
  recovery: 4,
} as const;

/** Flags of `opened`. */
export const OpenedFlag = {
  /** To an emitter: as `recoverable` says. */
  recoverable: 1,
} as const;

/** Flags of `sessionEnd`. */
export const SessionFlag = {
  /** The client may come back. */
  recoverable: 1,
} as const;

/** Flags of `broadcast`, `record` and of `request` with `broadcastWithAck`. */
export const BroadcastFlag = {
  volatile: 1,
  /** `compress` was set … */
  compressSet: 2,
  /** … to true. */
  compress: 4,
  /** A `broadcast` starts with a u32 as `record` does; whoever delivers it puts its newest offset there. */
  offset: 8,
  /** The sender of a `record` has sockets in its rooms. */
  echo: 16,
} as const;

/**
 * Flags of `interest`.
 * @param seeds how many `seed`s the member has heard: the keys are made with the last one
 * @param isLast whether the report is complete with this frame
 */
export function interestFlags(seeds: number, isLast: boolean): number {
  return ((seeds << 1) & 0xff) | (isLast ? 1 : 0);
}

/** Whether the keys of an `interest` with these flags are made with the last of so many `seed`s. */
export function isInterestOf(seeds: number, flags: number): boolean {
  return flags >>> 1 === (seeds & 0x7f);
}

/** Whether the report is complete with this frame. */
export function isLastOfReport(flags: number): boolean {
  return (flags & 1) !== 0;
}

/** Flags of `response`. */
export const ResponseFlag = {
  /** The member has no more to say to this request. */
  final: 1,
  /** The value is an error's message. */
  error: 2,
} as const;

/** How an encoded packet's part is marked on the wire. */
export const PartFlag = {
  /** A WebSocket text message; otherwise binary. */
  text: 1,
  /** The text is ASCII, so it can be read as latin1. */
  ascii: 2,
} as const;

export function frameLength(buffer: Buffer, start: number): number {
  return buffer.readUInt32LE(start);
}

export function frameKind(buffer: Buffer, start: number): number {
  return buffer[start + 4] as number;
}

export function frameFlags(buffer: Buffer, start: number): number {
  return buffer[start + 5] as number;
}

/** How many keys say whom the frame is for; without any, whoever has the namespace may be meant. */
export function frameKeyCount(buffer: Buffer, start: number): number {
  return isVoid(buffer, start) ? 0 : keysIn(buffer, start);
}

/** Whether the frame is for rooms, and its keys do not say which. */
export function hasVoidKeys(buffer: Buffer, start: number): boolean {
  return isVoid(buffer, start) && keysIn(buffer, start) > 0;
}

/** Whether the frame's keys and claims say nothing. */
export function isVoid(buffer: Buffer, start: number): boolean {
  return ((buffer[start + 5] as number) & KeyFlag.void) !== 0;
}

/** From now on they say nothing. */
export function voidKeys(buffer: Buffer, start: number): void {
  buffer[start + 5] = (buffer[start + 5] as number) | KeyFlag.void;
}

/** The same of all frames in `[from, to)`, which are whole. */
export function voidAllKeys(buffer: Buffer, from: number, to: number): void {
  for (let at = from; at < to; at += frameLength(buffer, at)) voidKeys(buffer, at);
}

function keysIn(buffer: Buffer, start: number): number {
  return (buffer[start + 6] as number) | ((buffer[start + 7] as number) << 8);
}

export function frameNamespace(buffer: Buffer, start: number): number {
  return buffer.readUInt32LE(start + 8);
}

export function frameKey(buffer: Buffer, start: number, index: number): number {
  return buffer.readUInt32LE(start + HEADER_BYTES + index * KEY_BYTES);
}

/** `readInt32LE` without its checks: hubs read a great many of them. */
export function interestEntry(buffer: Buffer, at: number): number {
  return (
    (buffer[at] as number) |
    ((buffer[at + 1] as number) << 8) |
    ((buffer[at + 2] as number) << 16) |
    ((buffer[at + 3] as number) << 24)
  );
}

/** A time on the clock of `machineTime()`, in whole microseconds. */
export function frameTime(buffer: Buffer, at: number): number {
  return buffer.readUInt32LE(at) + buffer.readUInt32LE(at + 4) * 2 ** 32;
}

/** Where the fields of the frame's kind begin. */
export function frameFields(buffer: Buffer, start: number): number {
  return start + HEADER_BYTES + keysIn(buffer, start) * KEY_BYTES;
}

/** A frame that says something of one member. */
export function memberFrame(kind: number, member: number): Buffer {
  const frame = Buffer.alloc(HEADER_BYTES + 4);
  frame.writeUInt32LE(frame.length, 0);
  frame[4] = kind;
  frame.writeUInt32LE(member, HEADER_BYTES);
  return frame;
}
