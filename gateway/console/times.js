// Times, in the reader's time zone unless one is given, as <time> elements with the exact moment.

import { element } from "./dom.js";

const PARTS = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const SHORT = new Intl.DateTimeFormat("en-US", PARTS);
const DATED = new Intl.DateTimeFormat("en-US", { ...PARTS, year: "numeric" });
const MOMENT = new Intl.DateTimeFormat("en-US", { ...PARTS, second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-US", { month: "short", day: "numeric", year: "numeric" });
const FULL = new Intl.DateTimeFormat("en-US", { dateStyle: "full", timeStyle: "long" });
const UNITS = [
  ["day", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
];

/** "Nov 22, 17:00"; with its year, unless it is this one. */
export function formatTime(at) {
  const moment = new Date(at);
  return (moment.getFullYear() === new Date().getFullYear() ? SHORT : DATED).format(moment);
}

/** "Nov 22, 17:00:42" */
export function formatMoment(at) {
  return MOMENT.format(new Date(at));
}

/** "Nov 22, 2026" */
export function formatDay(at) {
  return DAY.format(new Date(at));
}

/** A duration in its two largest units: "3 h 51 min", "2 days 4 h", "12 s". */
export function formatLength(milliseconds) {
  const parts = [];
  let left = Math.max(0, milliseconds);
  for (const [unit, size] of UNITS) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count) parts.push(`${count} ${unit === "day" && count !== 1 ? "days" : unit}`);
    else if (parts.length) break;
  }
  return parts.length ? parts.slice(0, 2).join(" ") : `${Math.ceil(left / 1000)} s`;
}

/** A duration that may be short: "0.8 s", "12 s", "3 min". */
export function formatSpan(milliseconds) {
  return milliseconds < 10_000 ? `${Math.max(0, milliseconds / 1000).toFixed(1)} s` : formatLength(milliseconds);
}

let aheadMs = 0;

/** Set how far the account's clock is ahead of real time (a test account's is). */
export function setClock(offsetSeconds = 0) {
  aheadMs = offsetSeconds * 1000;
}

/** Now by the account's clock, as times of its balance, journal and plan are. */
export function accountNow() {
  return Date.now() + aheadMs;
}

/** The head of a column of such times: "When", and for a test account by what. */
export function whenByAccount() {
  return aheadMs ? "When, by the test clock" : "When";
}

/** How long until a time: "in 3 h 51 min"; "now" once it has come. */
export function formatUntil(at, now = Date.now()) {
  const left = new Date(at) - now;
  return left <= 0 ? "now" : `in ${formatLength(left)}`;
}

/** How long ago a time was: "just now", "4 min ago", "yesterday" is "1 day ago". */
export function formatAgo(at, now = Date.now()) {
  const past = now - new Date(at);
  return past < 60_000 ? "just now" : `${formatLength(past).split(" ").slice(0, 2).join(" ")} ago`;
}

/** A <time> that shows `text`, and the full moment on hover. */
export function time(at, text = formatTime(at)) {
  return element("time", { datetime: at, title: FULL.format(new Date(at)) }, text);
}
