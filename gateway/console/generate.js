// The Generate page: tool, model, settings; a live quote; one click, one generation; and its result.

import { get, isAborted, newKey, post } from "./api.js";
import { withUnit } from "./amounts.js";
import { announce, byId, element, retried, show, showError } from "./dom.js";
import { markForbidden } from "./forbidden.js";
import { Card, showInOrder } from "./generations.js";
import { hearing, on } from "./live.js";
import { drawModels, showChosen } from "./models.js";
import { quoteView } from "./quotes.js";
import { settingControls, settingsOf } from "./settings.js";
import { session, startPage, watchBalance } from "./shell.js";
import { formatDay } from "./times.js";
import { catchUp } from "./updates.js";

const INPUTS = { image: "images", video: "videos", audio: "audio" };
const OF_KIND = { audio: /\.(aac|flac|m4a|mp3|og[ag]|opus|wav)\b/i, video: /\.(mov|mp4|webm)\b/i };
const CLOCK = new Intl.DateTimeFormat("en-US", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const SHOWN_MAX = 8;
const QUOTE_AFTER_MS = 150;
const ASK_AGAIN_MS = 2000; // when Farebox did not respond
const AGAIN_BEFORE_EXPIRY_MS = 30_000;
const NEW_QUOTE = new Set(["quote_expired", "quote_mismatch", "subscription_required", "plan_limit"]);

const draft = remembered("draft") ?? { prompt: "", outputs: 1, settings: {}, inputs: "" };
let models = [];
let names = new Map();
let baselines = new Map(); // tool → the model that its estimates are made with: what a newcomer starts with
let offers = new Map(); // model → {unit_credits, reason}: at its default settings, for this account's plan
let balance = null;
let quote = null;
let asking = null;
let later = null;
let pressing = false;
const cards = new Map();

listenToForm(); // at once: what is typed while the rest is read stays
const loaded = startPage(start);
listen(); // before anything is read, so that nothing falls in between
await session;
watchBalance((now) => {
  const changed = balance && (balance.available !== now.available || balance.plan.id !== now.plan.id);
  balance = now;
  if (changed) askQuote();
});

async function start() {
  const [card, recent] = await Promise.all([get("/v1/rate-card"), get("/v1/generations", { limit: SHOWN_MAX })]);
  models = card.models;
  names = new Map(models.map((model) => [model.id, model.name]));
  await readOffers();
  await takeOver(new URLSearchParams(location.search).get("again"));
  drawTools(card.tools);
  chooseTool(card.tools.some((tool) => tool.id === draft.tool) ? draft.tool : card.tools[0].id);
  for (const generation of recent.data.reverse()) await place(generation);
  showWhetherEmpty();
  const pressed = remembered("press");
  if (pressed) await send(pressed); // the page was left before the answer came: ask for it, with the same key
}

/** Each model's price at its defaults, and whether the plan allows it, from the API. */
async function readOffers() {
  const items = models.map(({ id, tool }) => ({ tool, model: id, per_day: 1, days: 1 }));
  const pages = [];
  for (let first = 0; first < items.length; first += 100) pages.push(post("/v1/estimates", { items: items.slice(first, first + 100), buffer: 0 }));
  offers = new Map((await Promise.all(pages)).flatMap((page) => page.items).map((item) => [item.model, item]));
}

/** Fill the form with an earlier request; it gets a new quote. */
async function takeOver(id) {
  if (!id) return;
  history.replaceState(null, "", "/");
  const earlier = await get(`/v1/generations/${encodeURIComponent(id)}`);
  if (!names.has(earlier.model)) throw new Error(`${earlier.model} is no longer on the rate card. Choose another model.`);
  const urls = (earlier.inputs ?? []).filter((input) => input.url).map((input) => input.url);
  Object.assign(draft, { tool: earlier.tool, model: earlier.model, prompt: earlier.prompt, outputs: earlier.outputs_requested, inputs: urls.join("\n"), files: [] });
  draft.settings[earlier.model] = earlier.settings;
  byId("prompt").value = draft.prompt;
  byId("inputs").value = draft.inputs;
}

// --- the form ---------------------------------------------------------------------------------------------------------

function listenToForm() {
  byId("prompt").value ||= draft.prompt;
  byId("inputs").value ||= draft.inputs;
  draft.prompt = byId("prompt").value;
  byId("prompt").addEventListener("input", () => {
    draft.prompt = byId("prompt").value;
    remember("draft", draft);
    showPromptProblem("");
    if (isPricedByPrompt()) askQuote();
  });
  byId("inputs").addEventListener("input", () => draft.model && changed());
  byId("generate").addEventListener("click", (event) => {
    if (event.detail > 1) event.preventDefault(); // the second press of a double click
  });
  byId("request").addEventListener("submit", (event) => {
    event.preventDefault();
    press();
  });
}

function drawTools(tools) {
  baselines = new Map(tools.map((tool) => [tool.id, tool.baseline_model]));
  const choices = tools.map((tool) => element("label", {}, element("input", { type: "radio", name: "tool", value: tool.id, onchange: () => chooseTool(tool.id) }), tool.name));
  byId("tools").append(...choices);
}

function chooseTool(tool) {
  draft.tool = tool;
  byId("tools").querySelector(`[value="${CSS.escape(tool)}"]`).checked = true;
  const offered = models.filter((model) => model.tool === tool);
  drawModels(offered, offers, chooseModel);
  const known = offered.find((model) => model.id === draft.model);
  const baseline = offered.find((model) => model.id === baselines.get(tool));
  chooseModel(known ?? baseline ?? offered[0]);
}

function chooseModel(model) {
  draft.model = model.id;
  showChosen(model.id);
  show(byId("settings"), settingControls(model, draft.settings[model.id] ?? {}, changed));
  drawOutputs(model.outputs_max);
  byId("prompt").parentElement.hidden = model.prompt === "none";
  byId("prompt").labels[0].textContent = model.prompt === "optional" ? "Prompt · optional" : "Prompt";
  const kinds = kindsOf(model);
  const called = kinds.map((kind) => INPUTS[kind]).join(" or ");
  byId("inputs-field").hidden = kinds.length === 0;
  byId("inputs-kind").textContent = kinds.length === 1 ? `Input ${called}` : "Inputs";
  if (kinds.length) retried(() => import("./uploads.js")).then(({ drawUploads }) => drawUploads(draft, kinds, called, changed), showError);
  changed();
}

function drawOutputs(most) {
  draft.outputs = Math.min(draft.outputs, most);
  const choose = (count) => () => {
    draft.outputs = count;
    changed();
  };
  const choices = Array.from({ length: most }, (_, index) => element("label", {}, element("input", { type: "radio", name: "outputs", value: index + 1, checked: index + 1 === draft.outputs, onchange: choose(index + 1) }), String(index + 1)));
  show(byId("outputs"), choices);
}

function changed() {
  draft.settings[draft.model] = settingsOf(byId("settings"));
  const model = chosen();
  if (model.forbidden.length) markForbidden(byId("settings"), model);
  draft.inputs = byId("inputs").value;
  remember("draft", draft);
  byId("generate-problem").textContent = "";
  askQuote();
}

function chosen() {
  return models.find(({ id }) => id === draft.model);
}

/** The kinds of inputs that a model takes. */
function kindsOf({ inputs }) {
  return Object.keys(INPUTS).filter((kind) => inputs[kind]);
}

function requested() {
  const kinds = kindsOf(chosen());
  const kindOf = (url) => kinds.find((kind) => OF_KIND[kind]?.test(url)) ?? kinds[0];
  const typed = draft.inputs.split(/\s+/).filter((url) => url && kinds.length);
  const sent = (draft.files ?? []).filter(({ kind }) => kinds.includes(kind));
  const inputs = [...typed.map((url) => ({ kind: kindOf(url), url })), ...sent.map(({ kind, url }) => ({ kind, url }))];
  return { tool: draft.tool, model: draft.model, settings: draft.settings[draft.model], outputs: draft.outputs, ...(inputs.length && { inputs }), ...(isPricedByPrompt() && { prompt: draft.prompt }) };
}

/** Whether the price depends on the prompt: then a quote is for this prompt only. */
function isPricedByPrompt() {
  const { rates, add_ons } = chosen() ?? {};
  return JSON.stringify([rates, add_ons]).includes("prompt_characters");
}

// --- the quote ----------------------------------------------------------------------------------------------------------

/** The balance may change before a model is selected, which requests a quote. */
function askQuote() {
  if (!byId("models").hasChildNodes()) return;
  clearTimeout(later);
  asking?.abort();
  later = setTimeout(readQuote, QUOTE_AFTER_MS);
  byId("quote").setAttribute("aria-busy", "true");
  showButton();
}

async function readQuote() {
  asking = new AbortController();
  try {
    await showQuote(await post("/v1/quotes", requested(), { signal: asking.signal }));
  } catch (error) {
    if (isAborted(error)) return;
    quote = null;
    byId("held-until").textContent = "";
    show(byId("quote"), element("p", { class: "wrong" }, error.message));
    if (error.temporary) later = setTimeout(readQuote, ASK_AGAIN_MS);
  }
  byId("quote").removeAttribute("aria-busy");
  showButton();
}

async function showQuote(made) {
  const view = await quoteView(made, balance);
  quote = made;
  show(byId("quote"), view);
  byId("held-until").textContent = quote.allowed && quote.affordable ? `This price is guaranteed until ${CLOCK.format(new Date(quote.expires_at))}.${coming()}` : "";
  showButton();
  clearTimeout(later);
  later = setTimeout(readQuote, new Date(quote.expires_at) - Date.now() - AGAIN_BEFORE_EXPIRY_MS);
}

/** From when the model has other prices. */
function coming() {
  const [next] = chosen().prices_from ?? [];
  return next ? ` From ${formatDay(next.valid_from)}, this model has other prices.` : "";
}

/** The changed request has no price yet: the one shown belongs to the previous request, and would be refused. */
const isBusy = () => byId("quote").hasAttribute("aria-busy");

function showButton() {
  const possible = quote?.allowed && quote.affordable && !pressing && !isBusy();
  byId("generate").setAttribute("aria-disabled", String(!possible));
  byId("generate").textContent = quote ? `Generate · ${withUnit(quote.credits, quote.at_most)}` : "Generate";
}

// --- one click, one generation ----------------------------------------------------------------------------------------

function press() {
  if (pressing || !quote || isBusy()) return;
  if (!quote.allowed || !quote.affordable) {
    byId("quote").querySelector("a, button")?.focus();
    return;
  }
  const { prompt } = chosen();
  if (prompt === "required" && !draft.prompt.trim()) {
    showPromptProblem("Enter a prompt.");
    byId("prompt").focus();
    return;
  }
  const body = { ...requested(), prompt: prompt === "none" ? "" : draft.prompt, quote: quote.quote };
  send({ once: newKey(), body });
}

async function send(pressed) {
  pressing = true;
  remember("press", pressed); // a reload finds it and asks again with the same key
  showButton();
  byId("generate-problem").textContent = "";
  try {
    await hearing(async (heard) => {
      const generation = await post("/v1/generations", pressed.body, { once: pressed.once });
      await place(generation, heard);
      announce(`Accepted: ${withUnit(generation.price.credits)} held`);
    });
  } catch (error) {
    await refuse(error);
  } finally {
    remember("press", null);
    pressing = false;
    askQuote();
    showButton();
  }
}

async function refuse(error) {
  byId("generate-problem").textContent = error.message;
  if (error.code === "insufficient_credits") {
    const { needed, available, held, ways_out } = error.details;
    const { waysOut } = await retried(() => import("./ways-out.js"));
    show(byId("quote"), waysOut({ shortfall: needed - available, held, ways_out }));
  } else if (NEW_QUOTE.has(error.code)) {
    askQuote();
  }
}

function showPromptProblem(text) {
  byId("prompt-problem").textContent = text;
  byId("prompt").setAttribute("aria-invalid", String(Boolean(text)));
}

// --- results --------------------------------------------------------------------------------------------------

/**
 * Show a generation among the others, or update it; one from a response together with events `heard` since the request.
 */
async function place(generation, heard = []) {
  catchUp(generation, heard);
  if (cards.has(generation.id)) return cards.get(generation.id).update(generation);
  const card = new Card(generation, names);
  cards.set(generation.id, card);
  showInOrder(byId("work"), card);
  showWhetherEmpty();
}

function showWhetherEmpty() {
  byId("no-work").hidden = cards.size > 0;
}

/** Handle events one by one: a second one may arrive while the code for its card is being loaded. */
function listen() {
  let last = loaded;
  const inTurn = (take) => (data) => {
    last = last.then(() => take(data)).catch(showError);
  };
  // One without a card was created elsewhere.
  on("generation", inTurn((changes) => (cards.has(changes.id) ? cards.get(changes.id).update(changes) : changes.object && place(changes))));
  on("output", inTurn(({ generation, output }) => cards.get(generation)?.addOutput(output)));
  on("again", async () => {
    await loaded;
    askQuote();
    await hearing(async (heard) => {
      const { data } = await get("/v1/generations", { limit: SHOWN_MAX });
      for (const generation of data.reverse()) await place(generation, heard);
    }).catch(showError);
  });
}

// --- what survives a reload -------------------------------------------------------------------------------------------

function remembered(name) {
  try {
    return JSON.parse(sessionStorage.getItem(name));
  } catch {
    return null;
  }
}

function remember(name, value) {
  try {
    if (value === null) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, JSON.stringify(value));
  } catch {
    // storage is disabled: a reload starts from scratch
  }
}
