/** Figures as people read them. */

const NOTHING = "–";

/** 950, 1.2k, 34k, 1.2M */
export function count(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value < 10 && !Number.isInteger(value)) return value.toFixed(1);
  if (value < 1_000) return String(Math.round(value));
  if (value < 10_000) return `${(value / 1_000).toFixed(1)}k`;
  if (value < 1_000_000) return `${Math.round(value / 1_000)}k`;
  return `${(value / 1_000_000).toFixed(1)}M`;
}

/** 0.4 ms, 12 ms, 1.5 s */
export function milliseconds(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value < 10) return `${value.toFixed(1)} ms`;
  if (value < 1_000) return `${Math.round(value)} ms`;
  return `${(value / 1_000).toFixed(1)} s`;
}

/** 0 B, 12 kB, 84 MB, 1.4 GB */
export function bytes(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value < 1_000) return `${Math.round(value)} B`;
  if (value < 1_000_000) return `${Math.round(value / 1_000)} kB`;
  if (value < 1_000_000_000) return `${Math.round(value / 1_000_000)} MB`;
  return `${(value / 1_000_000_000).toFixed(1)} GB`;
}

/** 12 s, 4 min, 3 h 20 min, 2 d 4 h */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return hours % 24 === 0 ? `${Math.floor(hours / 24)} d` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** 40 % */
export function share(value) {
  return value === null || value === undefined ? NOTHING : `${Math.round(value * 100)} %`;
}

/** 1 client, 2 clients */
export function some(number, what) {
  return `${count(number)} ${what}${number === 1 ? "" : "s"}`;
}

/** 21:03:04 */
export function clock(at) {
  return new Date(at).toLocaleTimeString([], {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hour12: false,
  });
}

/** just now, 12 s ago, 4 min ago */
export function ago(at, now) {
  return now - at < 2_000 ? "just now" : `${duration(now - at)} ago`;
}

/** What a state is called. */
export const STATES = {
  starting: "starting",
  ready: "ready",
  stalled: "takes nothing",
  waiting: "crashed, starts soon",
  "given-up": "given up",
  ending: "ending",
};

/** What a health is called, for those who cannot see its colour. */
export const HEALTHS = { good: "well", warning: "slow", bad: "in trouble", unknown: "not known yet" };
