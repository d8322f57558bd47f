// The Gallery: every generation with its cost, filtered by the URL, newest first.

import { get } from "./api.js";
import { counted } from "./amounts.js";
import { generationPath } from "./copying.js";
import { byId, element, opened, show, showError } from "./dom.js";
import { Card, showInOrder } from "./generations.js";
import { hearing, on } from "./live.js";
import { startPage } from "./shell.js";
import { formatDay } from "./times.js";
import { catchUp } from "./updates.js";
import { STATES } from "./words.js";

const AT_ONCE = 24;
const READ_MAX = 100;
const READS_MAX = 10; // for one press: a filter may find nothing for long
const SEARCHED_PER_READ = 200; // by words, a read looks at so many
const BACK_MAX = 1000; // as many are read again for those who come back
const SEARCH_AFTER_MS = 300;
const DAY_MS = 86_400_000;
const ID = /^gen_[0-9a-f]{2}[a-z2-7]{24}$/;
const FILTERS = ["q", "tool", "model", "status", "from", "to"];

const form = byId("filters");
let names = new Map();
let cards = new Map();
let next = null; // what to read on from; null: no more
let kept = AT_ONCE; // as many are kept when live ones come
let reads = 0; // since the filters changed
let missed = false; // the last change of the filters got no answer: what is shown is not what they say
let turn = 0; // counts up with each change of the filters, so that an answer that comes late is dropped

const loaded = startPage(start);
listen(); // before anything is read, so that nothing falls in between

async function start() {
  const card = await get("/v1/rate-card");
  names = new Map(card.models.map((model) => [model.id, model.name]));
  byId("tool").append(...card.tools.map(({ id, name }) => element("option", { value: id }, name)));
  byId("status").append(...Object.entries(STATES).map(([state, name]) => element("option", { value: state }, name)));
  const asked = new URLSearchParams(location.search);
  fillModels(card.models, "");
  for (const name of FILTERS) form.elements[name].value = asked.get(name) ?? "";
  form.addEventListener("change", () => refill(card.models));
  form.addEventListener("reset", (event) => {
    event.preventDefault(); // the browser would go back to the models that were chosen when they were listed
    for (const name of FILTERS) form.elements[name].value = "";
    refill(card.models);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  let later = null;
  form.elements.q.addEventListener("input", () => {
    clearTimeout(later);
    later = setTimeout(() => refill(card.models), SEARCH_AFTER_MS);
  });
  byId("more").addEventListener("click", () => hearing((heard) => readMore(heard, AT_ONCE)).catch(showError));
  document.addEventListener("click", ({ target }) => target.closest("a") && history.replaceState({ shown: cards.size, y: scrollY }, ""), true);
  fillModels(card.models, form.elements.model.value);
  opened(form);
  const { shown = 0, y } = history.state ?? {};
  if (y) history.scrollRestoration = "manual"; // to what is not there yet
  await refresh(Math.min(Math.max(shown, AT_ONCE), BACK_MAX));
  if (y) scrollTo(0, y);
}

function refill(models) {
  const words = form.elements.q.value.trim();
  if (ID.test(words)) return location.assign(generationPath(words));
  fillModels(models, form.elements.model.value);
  const given = new URLSearchParams(FILTERS.map((name) => [name, form.elements[name].value]).filter(([, value]) => value));
  history.replaceState(null, "", given.size ? `?${given}` : location.pathname);
  refresh().catch(showError);
}

/** The models of the selected tool; the selected one is kept if it is among them. */
function fillModels(models, chosen) {
  const offered = models.filter((model) => !form.elements.tool.value || model.tool === form.elements.tool.value);
  show(byId("model"), element("option", { value: "" }, "All models"), offered.map(({ id, name }) => element("option", { value: id, selected: id === chosen }, name)));
}

async function refresh(count = AT_ONCE) {
  turn++;
  cards = new Map();
  next = "";
  reads = 0;
  byId("cards").setAttribute("aria-busy", "true");
  try {
    await hearing((heard) => readMore(heard, count));
    missed = false;
    showError(null);
  } catch (error) {
    missed = true;
    throw error;
  } finally {
    byId("cards").removeAttribute("aria-busy");
  }
}

/** Load so many more, as far as they are found. */
async function readMore(heard, count) {
  const mine = turn;
  const first = next === "";
  const found = [];
  const { created_after: after, created_before: before } = asked();
  if (before && after >= before) next = null; // no day, rather than an error while both are being set
  for (const last = reads + READS_MAX; next !== null && found.length < count && reads < last; ) {
    const page = await get("/v1/generations", { ...asked(), before: next, limit: Math.min(READ_MAX, count - found.length) });
    if (mine !== turn) return;
    reads++;
    found.push(...page.data);
    next = page.next;
  }
  if (first) {
    show(byId("cards"));
    for (const card of cards.values()) showInOrder(byId("cards"), card); // events have brought them meanwhile
  }
  for (const generation of found.reverse()) place(catchUp(generation, heard));
  kept = cards.size;
  drawRest();
}

/** The filters, as the API has them: days are the reader's. */
function asked() {
  const { from, to, ...same } = Object.fromEntries(new FormData(form));
  return { ...same, q: same.q.trim(), created_after: from && startOfDay(from, 0), created_before: to && startOfDay(to, 1) };
}

function startOfDay(day, later) {
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year, month - 1, date + later).toISOString();
}

function fits(generation) {
  const { q, created_after: after, created_before: before, ...same } = asked();
  const text = [generation.prompt, ...Object.entries(generation.tags).map((tag) => tag.join(":"))].join("\n").toLowerCase();
  const at = generation.created_at;
  return Object.entries(same).every(([name, value]) => !value || generation[name] === value) && (!after || at >= after) && (!before || at < before) && q.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function place(generation) {
  if (cards.has(generation.id)) return;
  const card = new Card(generation, names);
  cards.set(generation.id, card);
  showInOrder(byId("cards"), card);
}

/** The days' headings, how many there are, and what is said if there are none. */
function drawRest() {
  const filtered = FILTERS.some((name) => form.elements[name].value);
  const searching = form.elements.q.value && next !== null;
  drawDays();
  byId("more").hidden = next === null;
  byId("more").textContent = searching ? "Search older ones" : "Show older";
  byId("count").textContent = cards.size ? `${counted(cards.size, "generation")}${next === null ? "" : " so far"}` : "Nothing found";
  byId("empty").hidden = cards.size > 0;
  if (cards.size) return;
  const none = searching ? `No matches among the newest ${counted(reads * SEARCHED_PER_READ, "generation")}.` : "No matching generations.";
  show(byId("empty"), filtered ? none : [element("span", {}, "No generations yet."), element("a", { class: "button primary", href: "/" }, "Create the first one")]);
}

function drawDays() {
  const list = byId("cards");
  const names = new Map([[formatDay(Date.now() - DAY_MS), "Yesterday"], [formatDay(Date.now()), "Today"]]);
  for (const head of list.querySelectorAll(".day")) head.remove();
  let before = null;
  for (const root of [...list.children]) {
    const day = formatDay(root.dataset.made);
    if (day !== before) root.before(element("h2", { class: "day" }, names.get(day) ?? day));
    before = day;
  }
}

function take(changes) {
  if (cards.has(changes.id)) cards.get(changes.id).update(changes);
  else if (changes.object && fits(changes)) {
    place(changes);
    letGo();
    drawRest();
  }
}

/** Of what comes live, a page keeps a screen more than was asked for: the oldest go, and are read again on demand. */
function letGo() {
  while (cards.size > kept + AT_ONCE) {
    const { root } = [...cards.values()].reduce((one, other) => (one.root.dataset.made < other.root.dataset.made ? one : other));
    cards.delete(root.dataset.id);
    root.remove();
    next = [...byId("cards").querySelectorAll(".card-of-work")].at(-1).dataset.id;
  }
}

function listen() {
  on("generation", async (changes) => {
    await loaded;
    take(changes);
  });
  on("output", async ({ generation, output }) => {
    await loaded;
    cards.get(generation)?.addOutput(output);
  });
  on("again", async () => {
    await loaded;
    if (missed) return refresh().catch(showError);
    await hearing(async (heard) => {
      const { data } = await get("/v1/generations", { limit: AT_ONCE });
      for (const generation of data.reverse()) take(catchUp(generation, heard));
    }).catch(showError);
  });
}
