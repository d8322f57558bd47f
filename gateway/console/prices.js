// The Prices page: each model's price at each of its settings, as calculated by the API.

import { get, post } from "./api.js";
import { counted, formatCredits, formatExact, formatMillicredits, toMillicredits, upTo } from "./amounts.js";
import { byId, element, icon, show, showError } from "./dom.js";
import { completed } from "./forbidden.js";
import { on } from "./live.js";
import { startPage, watchBalance } from "./shell.js";
import { line, sortableHeads, sorted, table } from "./tables.js";
import { formatDay } from "./times.js";
import { settingName, settingValue } from "./words.js";

const ITEMS_MAX = 100; // of one estimate
const MEASURES = { input_megapixels: "megapixel of input", input_video_seconds: "second of input video", prompt_characters: "character of prompt" };
const NUMBERS = new Intl.NumberFormat("en-US");

const form = byId("filters");
let card = null;
let rows = [];
let orders = {}; // tool → {by, down}; without: as on the card
let balance = null;

let who = null;

await startPage((signedIn) => {
  who = signedIn;
  return start();
});

async function start() {
  const [plans] = [await get("/v1/plans"), await read()];
  fillPurses(plans);
  const tools = [["", "All"], ...card.tools.map(({ id, name }) => [id, name])];
  byId("studios").append(...tools.map(([id, name]) => element("label", {}, element("input", { type: "radio", name: "studio", value: id, checked: id === "" }), name)));
  const asked = new URLSearchParams(location.search);
  for (const name of ["search", "studio", "with"]) if (asked.get(name)) form.elements[name].value = asked.get(name);
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  if (who.scope === "account") watchBalance(takeBalance);
  changed(); // also what was typed meanwhile
  on("again", () => read().then(draw).catch(showError)); // perhaps another gateway, and another card
}

async function read() {
  card = await get("/v1/rate-card");
  rows = card.models.flatMap((model) => model.rates.flatMap((rate) => rowsOf(model, rate)));
  const items = rows.map(({ model, settings }) => ({ tool: model.tool, model: model.id, settings, per_day: 1, days: 1 }));
  const pages = [];
  for (let first = 0; first < items.length; first += ITEMS_MAX) pages.push(post("/v1/estimates", { items: items.slice(first, first + ITEMS_MAX), buffer: 0 }));
  const priced = (await Promise.all(pages)).flatMap((page) => page.items);
  priced.forEach(({ unit_credits, list_unit_credits: list, ordered_this_month: ordered, at_most, reason }, index) => {
    Object.assign(rows[index], { credits: toMillicredits(unit_credits), list, atMost: at_most, reason });
    if (ordered) rows[index].notes.push(`${formatExact(ordered)} ordered this month`);
  });
  const reduced = rows.some(({ list }) => list) && " Your prices, with your discounts. What is noted beside them is at list prices.";
  show(byId("version"), "Rate card ", element("code", { title: card.version }, card.version.slice(0, 19)), "·", element("a", { href: "/v1/rate-card" }, "as JSON"), "· one output at the settings shown, all others at their defaults. Pro models require a subscription.", reduced);
}

/** The rows of a rate: one at its settings; if the price grows with a number, one at its minimum and one at its maximum. */
function rowsOf(model, rate) {
  const chosen = Object.fromEntries(Object.entries(rate.when).filter(([name]) => model.settings[name]));
  const settings = Object.fromEntries(Object.entries(chosen).map(([name, values]) => [name, values.includes(model.settings[name].default) ? model.settings[name].default : values[0]]));
  const said = Object.entries(chosen).map(([name, values]) => saidOf(model, name, values));
  const taken = completed(model, settings) ?? settings;
  const grows = Object.keys(rate.credits_per).find((name) => model.settings[name] && !(name in chosen));
  const { values, min, max } = model.settings[grows] ?? {};
  const sold = grows ? (values ?? [min, max]).filter((value) => completed(model, { ...settings, [grows]: value })) : [];
  if (!sold.length) return [rowOf(model, taken, said, measuresOf(rate, model))];
  const ends = [...new Set([sold[0], sold.at(-1)])];
  const rise = `+${formatExact(rate.credits_per[grows].credits)} per ${unitOf(model, grows)}`;
  return ends.map((value, index) => rowOf(model, completed(model, { ...settings, [grows]: value }), [...said, saidOf(model, grows, [value])], index ? [rise] : measuresOf(rate, model)));
}

/** What is measured or reported: "280 per second of input video, at most 30: shown at the maximum". */
function measuresOf(rate, model) {
  const most = { input_megapixels: model.inputs.megapixels, input_video_seconds: model.inputs.video_seconds };
  return Object.entries(rate.credits_per)
    .filter(([name]) => name in MEASURES)
    .map(([name, { credits }]) => `${formatExact(credits)} per ${unitOf(model, name)}${most[name] ? `, at most ${most[name]}` : ""}: shown at the maximum`)
    .concat((rate.reported ?? []).map(({ unit, credits, at_most }) => `${unit.replace("_", " ")} used: ${formatExact(credits)} each, at most ${formatExact(at_most)}`), (rate.graduated ?? []).map(({ over, credits }) => `${formatExact(credits)} each beyond ${formatExact(over)} a month`));
}

function saidOf(model, name, values) {
  const text = values.map((value) => settingValue(value, model.settings[name].unit)).join(" or ");
  return values.every((value) => typeof value === "boolean") ? `${settingName(name)} ${text}` : model.settings[name].unit || /\D/.test(text) ? text : `${text} ${name.replaceAll("_", " ")}`;
}

function rowOf(model, settings, said, notes) {
  const title = said.join(" · ");
  const searched = [model.name, model.id, title, model.pro ? "pro subscribers" : ""].join(" ").toLowerCase();
  return { model, name: model.name, settings, said: title, notes: [...notes, ...comingOf(model, settings)], searched };
}

/** What one is charged by: "s", "megapixel of input", "step". */
function unitOf(model, name) {
  return MEASURES[name] ?? model.settings[name]?.unit ?? settingName(name).toLowerCase().replace(/s$/, "");
}

/** The prices that are to come: "From Dec 1, 2026: 6 + 2 per s". */
function comingOf(model, settings) {
  return (model.prices_from ?? []).map(({ valid_from: at, rates }) => {
    const { credits, credits_per } = rates.find(({ when }) => Object.entries(when).every(([name, values]) => values.includes(settings[name]))) ?? {};
    const parts = [credits > 0 && formatExact(credits), ...Object.entries(credits_per ?? {}).map(([name, rise]) => `${formatExact(rise.credits)} per ${unitOf(model, name)}`)];
    return `From ${formatDay(at)}: ${parts.length ? `list price ${parts.filter(Boolean).join(" + ")}` : "other prices"}`;
  });
}

/** A model's add-ons: "+1 Prompt enhancer". */
function addOnsOf(model) {
  return model.add_ons.map(({ name, credits, factor, credits_per, per, when }) => {
    const limits = Object.entries(when).filter(([setting, values]) => !values.includes(true) && model.settings[setting]).map(([setting, values]) => saidOf(model, setting, values));
    const [unit, rise] = Object.entries(credits_per ?? {})[0] ?? [];
    const each = unit && `+${formatExact(rise.credits)} per ${unitOf(model, unit)}${rise.over && !name.includes(String(rise.over)) ? ` beyond ${rise.over}` : ""}`;
    const more = factor !== null ? `×${formatExact(factor)}` : credits !== null ? `+${formatExact(credits)}` : each;
    return `${name} ${more}${limits.length ? ` (${limits.join(", ")})` : ""}${per === "request" ? " a request" : ""}`;
  });
}

// --- how many it makes ------------------------------------------------------------------------------------------------

function fillPurses({ data, free }) {
  const purse = (id, name, credits) => element("option", { value: id, "data-credits": toMillicredits(credits) }, name);
  show(
    byId("with"),
    who.scope === "account" && purse("balance", "your balance", 0),
    data.map(({ id, name, monthly_credits }) => purse(id, `${name}, ${formatCredits(monthly_credits)} a month`, monthly_credits)),
    purse("free", `Free, ${formatCredits(free.daily_credits)} a day`, free.daily_credits),
  );
}

function takeBalance(now) {
  if (balance?.available === now.available) return;
  balance = now;
  const option = byId("with").querySelector("[value=balance]");
  option.dataset.credits = toMillicredits(now.available);
  option.textContent = `your balance, ${formatCredits(now.available)}`;
  if (rows.length && rows[0].credits !== undefined) draw();
}

// --- drawing ----------------------------------------------------------------------------------------------------------

function changed() {
  const said = ["search", "studio", "with"].map((name) => [name, form.elements[name].value]);
  const query = new URLSearchParams(said.filter(([name, value]) => value && !(name === "with" && byId("with").selectedIndex === 0)));
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  draw();
}

function draw() {
  const words = form.elements.search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const purse = Number(byId("with").selectedOptions[0].dataset.credits);
  const found = rows.filter((row) => (!form.elements.studio.value || row.model.tool === form.elements.studio.value) && words.every((word) => row.searched.includes(word)));
  for (const row of found) row.makes = row.credits ? Math.floor(purse / row.credits) : Infinity;
  const sections = card.tools.map((tool) => [tool, found.filter(({ model }) => model.tool === tool.id)]).filter(([, own]) => own.length);
  show(byId("tables"), sections.map(([tool, own]) => sectionOf(tool, own)));
  byId("empty").hidden = sections.length > 0;
  byId("count").textContent = counted(found.length, "price");
}

function sectionOf(tool, own) {
  const order = orders[tool.id] ?? {};
  const columns = [["name", "Model"], ["said", "Settings"], ["credits", "Credits", true], ["makes", "Makes about", true]];
  const sort = (chosen) => {
    orders[tool.id] = chosen;
    draw();
  };
  const listed = order.by ? sorted(own, order) : own;
  const grouped = !order.by || order.by === "name";
  const rowOfList = (row, index) => rowElement(row, grouped && listed[index - 1]?.model === row.model);
  const heading = element("h2", { id: `${tool.id}-heading` }, `${tool.name} `, element("span", { class: "quiet-text small" }, counted(new Set(own.map(({ model }) => model)).size, "model")));
  const drawn = table(sortableHeads(columns, order, sort, tool.id), listed.map(rowOfList));
  return element("section", { class: "panel flush", id: `prices-${tool.id}` }, heading, element("div", { class: "scroll", tabindex: 0, role: "region", "aria-labelledby": `${tool.id}-heading` }, drawn));
}

function rowElement(row, again) {
  const { model } = row;
  const lock = model.pro && element("span", { class: row.reason ? "badge warn" : "badge", title: "Requires a subscription" }, row.reason && icon("lock"), "Pro", element("span", { class: "unseen" }, row.reason ? ": requires a subscription, not in your plan" : ": requires a subscription"));
  const notes = again ? row.notes : [...addOnsOf(model), ...row.notes];
  const settings = element("td", {}, row.said || element("span", { class: "quiet-text" }, "any"), notes.length > 0 && element("span", { class: "hint lines" }, notes.map((note) => element("span", {}, note))));
  const makes = element("td", { class: "amount quiet-text" }, Number.isFinite(row.makes) ? NUMBERS.format(row.makes) : "any number");
  return line(again ? element("span", { class: "unseen" }, model.name) : element("span", { class: "row" }, model.name, lock), [settings, [upTo(row.atMost) + formatMillicredits(row.credits), row.list && element("div", { class: "hint" }, `list ${formatCredits(row.list)}`)], makes], { class: again && "again" });
}
