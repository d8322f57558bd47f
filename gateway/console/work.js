// Operators' generations: what is open, oldest first, what failed lately, what was charged; filters are in the URL.

import { get, withQuery } from "./api.js";
import { counted, formatCredits, sum } from "./amounts.js";
import { accountLink } from "./audit.js";
import { generationLink } from "./copying.js";
import { byId, element, isPressed, redraw, showError } from "./dom.js";
import { on } from "./live.js";
import { nameOf, pauseButton, pausesTable, readPauses } from "./pauses.js";
import { session } from "./shell.js";
import { amountHead, line, noLines, plainCell, table } from "./tables.js";
import { formatLength, formatUntil, time } from "./times.js";
import { STATES } from "./words.js";

const AT_ONCE = 100;
const READ_EVERY_MS = 10_000;
const OVERDUE_PAGES = 10;
const PAUSABLE = ["provider", "model", "tool"];
const CODES = ["provider_failed", "provider_rejected", "provider_timeout", "output_unusable", "moderated", "queue_timeout", "waiting_timeout", "worker_lost", "store_unavailable", "internal"];

const form = byId("filters");
let scope = "";
let names = new Map();
let found = [];
let next = null;
let complete = true;
let pauses = [];
let turn = 0;

async function start() {
  const [card, queues] = await Promise.all([get("/v1/rate-card"), get("/v1/ops/queues")]);
  names = new Map(card.models.map(({ id, name }) => [id, name]));
  offer("tool", card.tools.map(({ id, name }) => [id, name]));
  offer("model", card.models.map(({ id, name }) => [id, name]));
  offer("provider", (queues.providers ?? []).map(({ name }) => [name, name]));
  offer("code", CODES.map((code) => [code, code]));
  const asked = new URLSearchParams(location.search);
  for (const { name } of form.elements) {
    const value = asked.get(name);
    if (!name || value === null) continue;
    if (form[name].options) offer(name, [[value, value]]); // it may no longer be on the card
    form[name].value = value;
  }
  form.addEventListener("change", filter);
  form.addEventListener("reset", () => setTimeout(filter)); // its fields are cleared after this event
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("next").addEventListener("click", () => read(false).catch(showError));
  on("again", () => read(true).catch(showError));
  await read(true);
  setInterval(() => !document.hidden && !document.querySelector("dialog") && !isPressed() && found.length <= AT_ONCE && read(true).catch(showError), READ_EVERY_MS);
}

/** Offer values in a filter, each once. */
function offer(name, options) {
  const offered = new Set([...form[name].options].map(({ value }) => value));
  form[name].append(...options.filter(([value]) => !offered.has(value)).map(([value, text]) => element("option", { value }, text)));
}

function given() {
  return Object.fromEntries(new FormData(form));
}

function filter() {
  history.replaceState(null, "", withQuery(location.pathname, given()));
  read(true).catch(showError);
}

async function read(anew) {
  const mine = ++turn;
  const { status, ...only } = given();
  const overdue = status === "overdue";
  const listed = anew ? [] : [...found];
  let place = anew ? null : next;
  let whole = true;
  const reading = readPauses();
  for (let page = 0; page < (overdue ? OVERDUE_PAGES : 1); page++) {
    const read = await get("/v1/ops/generations", { ...only, status: overdue ? "open" : status, limit: AT_ONCE, before: place });
    listed.push(...read.data.filter((one) => !overdue || one.overdue));
    place = read.next;
    whole &&= read.complete;
    if (!place) break;
  }
  const paused = await reading;
  if (mine !== turn) return;
  showError(null);
  [found, next, complete, pauses] = [listed, place, whole, paused];
  offer("provider", listed.map(({ provider }) => [provider, provider]));
  draw();
}

async function done(text) {
  await read(true);
  return text;
}

function draw() {
  const { status } = given();
  const ended = status === "failed" || status === "charged";
  const amount = ended ? ["charged", "committed"] : ["held", "held"];
  byId("list-heading").textContent = `${counted(found.length, "generation")}${next ? " so far" : ""}, ${formatCredits(sum(found.map((one) => one[amount[1]])))} credits ${amount[0]}`;
  const heads = ["Generation", "Account", "Model", "Attempt", "Age", ended ? "Ended" : "Ends at the latest", amountHead(ended ? "Charged" : "Held"), ended && amountHead("Returned")].filter(Boolean);
  const none = complete ? "Nothing matches." : "Nothing matches among those that were read: there are too many. Narrow it down by account.";
  redraw(byId("list"), table(heads, found.length ? found.map((one) => rowOf(one, ended)) : noLines(heads.length, none), { cards: true, numbers: 9 }));
  byId("more").hidden = next === null;
  byId("paused").hidden = pauses.length === 0;
  redraw(byId("pauses"), pausesTable(pauses, scope, done));
  const chosen = PAUSABLE.filter((kind) => given()[kind]).map((kind) => ({ kind, name: given()[kind] }));
  redraw(byId("acts"), chosen.map((what) => element("span", { class: "row" }, element("span", { class: "hint" }, nameOf(what)), pauseButton(what, pauses, scope, done))));
}

function rowOf(one, ended) {
  const state = one.code ?? STATES[one.status];
  const attempts = `${one.attempt}${one.failures ? `, ${one.failures} failed` : ""}`;
  const where = one.parked ? "left with the provider" : one.waits_for_slot ? "the provider is full" : one.cancel_requested ? "stopping" : null;
  const end = ended ? time(one.finished_at) : one.overdue ? element("strong", { class: "bad-text" }, "overdue") : one.gives_up_at ? time(one.gives_up_at, formatUntil(one.gives_up_at)) : "–";
  return line(
    [generationLink(one.id), element("div", { class: one.code ? "bad-text small" : "hint" }, state, where && ` · ${where}`)],
    [
      plainCell(accountLink(one.account)),
      plainCell(names.get(one.model) ?? one.model, element("div", { class: "hint" }, [one.tool, one.provider, one.provider_job].filter(Boolean).join(" · "))),
      plainCell(attempts),
      plainCell(formatLength(one.age_seconds * 1000)),
      plainCell(end),
      formatCredits(ended ? one.committed : one.held),
      ended && formatCredits(one.refunded),
    ].filter((cell) => cell !== false),
  );
}

const who = await session;
scope = who.scope;
if (scope !== "account") await start().catch(showError);
