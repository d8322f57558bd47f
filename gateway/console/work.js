// Operators' generations: what is open, oldest first, what failed lately, what was charged; filters are in the URL.

import { get, withQuery } from "./api.js";
import { counted, formatCredits, sum } from "./amounts.js";
import { accountLink } from "./audit.js";
import { generationLink } from "./copying.js";
import { byId, element, isPressed, opened, redraw, retried, showError } from "./dom.js";
import { actButton, may } from "./fields.js";
import { on } from "./live.js";
import { nameOf, pauseButton, pausesTable, readPauses } from "./pauses.js";
import { session, startPage } from "./shell.js";
import { records } from "./tables.js";
import { formatLength, formatUntil, time } from "./times.js";
import { STATES } from "./words.js";

const AT_ONCE = 100;
const READ_EVERY_MS = 10_000;
const OVERDUE_PAGES = 10;
const PAUSABLE = ["provider", "model", "tool"];

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
  opened(form);
  byId("next").addEventListener("click", () => read(false).catch(showError));
  on("again", () => read(true).catch(showError));
  await read(true);
  setInterval(() => !document.hidden && !document.querySelector("dialog") && !isPressed() && found.length <= AT_ONCE && read(true).catch(showError), READ_EVERY_MS);
}

/** Offer values in a filter, each once. */
function offer(name, options) {
  for (const [value, text] of options) {
    if (![...form[name].options].some((known) => known.value === value)) form[name].append(element("option", { value }, text));
  }
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
  for (const name of ["provider", "code"]) offer(name, listed.filter((one) => one[name]).map((one) => [one[name], one[name]]));
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
  const none = complete ? "Nothing matches." : "Nothing matches among those read, and there are more. Narrow it down by account.";
  redraw(byId("list"), records(columnsOf(ended), found, none));
  byId("more").hidden = next === null;
  byId("paused").hidden = pauses.length === 0;
  redraw(byId("pauses"), pausesTable(pauses, scope, done));
  const chosen = PAUSABLE.filter((kind) => given()[kind]).map((kind) => ({ kind, name: given()[kind] }));
  redraw(byId("acts"), allButton(status), chosen.map((what) => element("span", { class: "row" }, element("span", { class: "hint" }, nameOf(what)), pauseButton(what, pauses, scope, done))));
}

/** What can be done with generations that are shown under a status, and by whom; null: nothing. */
function actOf(status) {
  const action = { failed: "retry", charged: "refund" }[status] ?? "cancel";
  return may(scope, action === "refund" ? "credits" : "all") ? action : null;
}

async function openBulk(action, filter, options) {
  const acts = await retried(() => import("./acts.js"));
  acts.openBulk(action, filter, { ...options, done });
}

/** A button for all that match; the API takes no call without a filter. */
function allButton(status) {
  const action = actOf(status);
  const { status: shown, older_than_seconds: age, ...only } = given();
  const filter = Object.fromEntries(Object.entries({ ...only, status: ["waiting", "queued", "running"].includes(shown) ? shown : "" }).filter(([, value]) => value));
  if (age) filter.older_than_seconds = Number(age);
  if (!action || shown === "overdue" || !found.length) return null;
  if (!Object.keys(filter).length) return element("span", { class: "hint" }, `To ${action} many at once, set a filter.`);
  const name = `${action[0].toUpperCase()}${action.slice(1)} all…`;
  return actButton(name, () => openBulk(action, filter, { title: `${name.slice(0, -1)} that match`, account: filter.account }).catch(showError));
}

/** A button for one of them. */
function oneButton(one) {
  const action = actOf(given().status);
  const credits = { cancel: one.held, retry: one.price, refund: one.committed }[action];
  if (!action || one.cancel_requested || one.given_back) return one.given_back ? "given back" : "";
  const name = action[0].toUpperCase() + action.slice(1);
  return actButton(name, () => openBulk(action, { generations: [one.id], account: one.account }, { title: `${name} ${one.id}`, one: { credits }, account: one.account }).catch(showError), `${name} ${one.id}`);
}

function columnsOf(ended) {
  return [
    ["Generation", (one) => [generationLink(one.id), element("div", { class: one.code ? "bad-text small" : "hint" }, one.code ?? STATES[one.status], whereOf(one))]],
    ["Account", ({ account }) => accountLink(account)],
    ["Model", (one) => [names.get(one.model) ?? one.model, element("div", { class: "hint" }, `${one.tool} · ${one.provider}`)]],
    ["Attempt", ({ attempt, failures }) => `${attempt}${failures ? `, ${failures} failed` : ""}`],
    !ended && ["Age", (one) => formatLength(one.age_seconds * 1000)],
    ended ? ["Ended", (one) => time(one.finished_at)] : ["Ends at the latest", endOf],
    ended ? ["Charged", (one) => formatCredits(one.committed), true] : ["Held", (one) => formatCredits(one.held), true],
    ended && ["Returned", (one) => formatCredits(sum([one.refunded, one.given_back ?? 0])), true],
    ["Actions", oneButton],
  ].filter(Boolean);
}

function whereOf(one) {
  const where = one.parked ? "left with the provider" : one.waits_for_slot ? "the provider is full" : one.cancel_requested ? "stopping" : null;
  return where && ` · ${where}`;
}

function endOf({ overdue, gives_up_at: at }) {
  if (overdue) return element("strong", { class: "bad-text" }, "overdue");
  return at ? time(at, formatUntil(at)) : "–";
}

const who = await session;
scope = who.scope;
await startPage(start);
