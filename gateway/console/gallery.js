// The Gallery: every generation with its cost, filtered by the URL, newest first.

import { get } from "./api.js";
import { counted } from "./amounts.js";
import { byId, element, show, showError } from "./dom.js";
import { Card, showInOrder } from "./generations.js";
import { hearing, on } from "./live.js";
import { startPage } from "./shell.js";
import { catchUp } from "./updates.js";
import { STATES } from "./words.js";

const SHOWN_AT_ONCE = 24;
const READ_AT_ONCE = 100; // with dates: the API filters by all but those
const FILTERS = ["tool", "model", "status", "from", "to"];

const form = byId("filters");
let names = new Map();
let cards = new Map();
let next = null; // what to read on from; null: no more
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
  byId("more").addEventListener("click", () => hearing(readMore).catch(showError));
  fillModels(card.models, form.elements.model.value);
  await refresh();
}

function refill(models) {
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

async function refresh() {
  turn++;
  cards = new Map();
  next = "";
  byId("cards").setAttribute("aria-busy", "true");
  try {
    await hearing(readMore);
    missed = false;
    showError(null);
  } catch (error) {
    missed = true;
    throw error;
  } finally {
    byId("cards").removeAttribute("aria-busy");
  }
}

/** Load until another screen is full, or nothing is left. */
async function readMore(heard) {
  const mine = turn;
  const first = next === "";
  const found = [];
  while (next !== null && found.length < SHOWN_AT_ONCE) {
    const { tool, model, status } = Object.fromEntries(new FormData(form));
    const page = await get("/v1/generations", { tool, model, status, before: next, limit: dated() ? READ_AT_ONCE : SHOWN_AT_ONCE - found.length });
    if (mine !== turn) return;
    found.push(...page.data.filter(isWithin));
    const last = page.data.at(-1);
    next = last && last.created_at < firstMoment() ? null : page.next;
  }
  if (first) {
    show(byId("cards"));
    for (const card of cards.values()) showInOrder(byId("cards"), card); // events have brought them meanwhile
  }
  for (const generation of found.reverse()) place(catchUp(generation, heard));
  tellCount();
}

function dated() {
  return form.elements.from.value || form.elements.to.value;
}

function firstMoment() {
  return form.elements.from.value ? startOfDay(form.elements.from.value, 0) : "";
}

/** Whether it was created on the selected days, in the reader's time zone. */
function isWithin({ created_at: at }) {
  const { value: to } = form.elements.to;
  return at >= firstMoment() && (!to || at < startOfDay(to, 1));
}

function startOfDay(day, later) {
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year, month - 1, date + later).toISOString();
}

function fits({ tool, model, status, ...generation }) {
  const { elements } = form;
  const same = (name, value) => !elements[name].value || elements[name].value === value;
  return same("tool", tool) && same("model", model) && same("status", status) && isWithin(generation);
}

function place(generation) {
  if (cards.has(generation.id)) return;
  const card = new Card(generation, names);
  cards.set(generation.id, card);
  showInOrder(byId("cards"), card);
}

function tellCount() {
  const filtered = FILTERS.some((name) => form.elements[name].value);
  byId("more").hidden = next === null;
  byId("count").textContent = cards.size ? `${counted(cards.size, "generation")}${next === null ? "" : " so far"}` : "Nothing found";
  byId("empty").hidden = cards.size > 0;
  if (cards.size) return;
  const link = filtered ? "No matching generations." : [element("span", {}, "No generations yet."), element("a", { class: "button primary", href: "/" }, "Create the first one")];
  show(byId("empty"), [link]);
}

function take(changes) {
  if (cards.has(changes.id)) cards.get(changes.id).update(changes);
  else if (changes.object && fits(changes)) {
    place(changes);
    tellCount();
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
      const { data } = await get("/v1/generations", { limit: SHOWN_AT_ONCE });
      for (const generation of data.reverse()) take(catchUp(generation, heard));
    }).catch(showError);
  });
}
