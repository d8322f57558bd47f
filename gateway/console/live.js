// Live events, with one connection per browser: browsers open at most six per host, and each tab would take one. The tab
// that holds a lock listens and passes events to the others. Without locks (a page that is not from https or this
// machine) each tab listens for itself, and only while it is visible.
//
// Events: `generation` {id, …what changed, or all of it}, `output` {generation, output}, `balance`, `queues`, and
// `again`: something may have been missed; reload what is shown.

import { get, signInFirst } from "./api.js";

const CHANNEL = "farebox-live";
const RETRY_MS = 3000;
const EVENT_KINDS = { snapshot: "generation", progress: "generation", done: "generation", output: "output", balance: "balance", queues: "queues" };

const listeners = new Map();
const hearers = new Set();
const channel = new BroadcastChannel(CHANNEL);
let source = null;
// The session has ended: a tab that is navigating away must not reconnect.
let ended = false;

/** Call `listener(data)` for every event of this kind, once connected; returns a function that stops it. */
export function on(kind, listener) {
  if (!listeners.has(kind)) listeners.set(kind, new Set());
  listeners.get(kind).add(listener);
  return () => listeners.get(kind).delete(listener);
}

/**
 * Call `ask(heard)`. Until it is done, `heard` collects events: the response may have been read before any of them, and
 * `catchUp` applies them.
 */
export function hearing(ask) {
  const heard = [];
  hearers.add(heard);
  return ask(heard).finally(() => hearers.delete(heard));
}

/** Notify every tab, including this one, that another user is signed in now. */
export function sessionChanged() {
  ended = true;
  channel.postMessage({ kind: "session" });
}

/** Connect, or share another tab's connection; for signed-in pages. */
export function connect() {
  channel.onmessage = ({ data }) => {
    if (data.kind !== "session") return tell(data);
    ended = true;
    location.reload();
  };
  if (navigator.locks) {
    navigator.locks.request(CHANNEL, () => {
      open();
      return new Promise(() => {}); // held until this tab is closed; then the next one in line listens
    });
  } else {
    document.addEventListener("visibilitychange", openWhileSeen);
    openWhileSeen();
  }
}

function openWhileSeen() {
  if (document.hidden) {
    source?.close();
    source = null;
  } else if (!source) {
    open();
  }
}

function open() {
  if (ended) return;
  source = new EventSource("/v1/events");
  // A tab that listens for itself has just loaded what it shows.
  let first = !navigator.locks;
  source.onopen = () => {
    pass({ kind: "connection", data: true });
    if (!first) pass({ kind: "again", data: null });
    first = false;
  };
  source.onerror = () => {
    pass({ kind: "connection", data: false });
    if (source?.readyState === EventSource.CLOSED) {
      // Refused, not lost: a browser does not reconnect then. Without a session, checking it leaves the page.
      source = null;
      setTimeout(again, RETRY_MS);
    }
  };
  for (const [event, kind] of Object.entries(EVENT_KINDS)) {
    source.addEventListener(event, ({ data }) => pass({ kind, data: JSON.parse(data) }));
  }
}

/** Reconnect, or leave the page if the session has ended. */
async function again() {
  const who = await get("/session").catch(() => null);
  if (who && !who.scope) signInFirst();
  else if (!source) open();
}

function pass(message) {
  channel.postMessage(message);
  tell(message);
}

function tell({ kind, data }) {
  for (const heard of hearers) heard.push({ kind, data });
  for (const listener of listeners.get(kind) ?? []) listener(data);
}
