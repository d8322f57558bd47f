// The Usage page: credits and generations by day, tool and model. The URL determines what the chart, the tables and the
// CSV show: the same rows of one call, with days in one time zone.

import { get, saveCsv, withQuery } from "./api.js";
import { counted, formatCredits, formatMillicredits, formatRounded, toMillicredits, withUnit } from "./amounts.js";
import { bars, compact, daysOf, periodOrDate, swatch, takePeriod } from "./chart.js";
import { announce, byId, element, icon, opened, show, showError } from "./dom.js";
import { on } from "./live.js";
import { startPage, watchBalance } from "./shell.js";
import { line, sortableHeads, sorted, table } from "./tables.js";

const DEFAULTS = { period: "30", from: "", to: "", tool: "", model: "", by: "model", show: "credits" };
const SERIES_MAX = 6;
const BARS_MAX = 100;
const DAY_MS = 86_400_000;
const REFRESH_AFTER_MS = 1500;

const form = byId("filters");
const inDay = (options) => new Intl.DateTimeFormat("en-US", { timeZone: "UTC", ...options });
const SHORT_DAY = inDay({ month: "short", day: "numeric" });
const COUNTS = new Intl.NumberFormat("en-US");
const TABLE_DAY = inDay({ weekday: "short", month: "short", day: "numeric" });

let names = { tool: new Map(), model: new Map() };
let models = [];
let view = null; // what is shown: see viewOf
let order = {}; // of the breakdown: {by, down}; without: largest first
let hidden = new Set(); // the groups that the chart leaves out
let turn = 0;
let balance = null;
let pace = null; // {credits, days}: what was spent since the first of the last 30 days on which anything was

await startPage(start);

async function start() {
  const card = await get("/v1/rate-card");
  models = card.models;
  names = { tool: new Map(card.tools.map(({ id, name }) => [id, name])), model: new Map(models.map(({ id, name }) => [id, name])) };
  byId("tool").append(...card.tools.map(({ id, name }) => element("option", { value: id }, name)));
  byId("actions").append(element("button", { type: "button", onclick: () => exportCsv().catch(showError) }, icon("download"), "Export CSV"));
  takeFromUrl();
  byId("main").addEventListener("change", ({ target }) => target.form === form && changed(target)); // some stand beside the chart
  form.addEventListener("submit", (event) => event.preventDefault());
  opened(form);
  watchBalance((now) => {
    balance = now;
    showLasting();
  });
  await refresh();
  let later = null;
  const soon = () => {
    clearTimeout(later);
    later = setTimeout(() => refresh().catch(showError), REFRESH_AFTER_MS);
  };
  on("balance", soon);
  on("again", soon);
}

// --- filters ----------------------------------------------------------------------------------------------------------

function takeFromUrl() {
  const asked = new URLSearchParams(location.search);
  for (const [name, usual] of Object.entries(DEFAULTS)) form.elements[name].value = asked.get(name) ?? usual;
  periodOrDate(form, asked.get("from") && asked.get("to") ? "from" : "period");
  fillModels(asked.get("model"));
}

function changed(field) {
  periodOrDate(form, field.name);
  if (field.name === "tool") fillModels(form.elements.model.value);
  if (field.name === "by") hidden = new Set();
  const said = (name) => form.elements[name].value;
  const dated = !said("period");
  if (dated && !(said("from") && said("to"))) return; // a date is being typed
  const unlike = Object.keys(DEFAULTS).filter((name) => said(name) !== DEFAULTS[name] && (name === "from" || name === "to" ? dated : name !== "period" || !dated));
  const query = new URLSearchParams(unlike.map((name) => [name, said(name)]));
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  refresh().catch(showError);
}

function fillModels(chosen) {
  const offered = models.filter(({ tool }) => !form.elements.tool.value || tool === form.elements.tool.value);
  show(byId("model"), element("option", { value: "" }, "All models"), offered.map(({ id, name }) => element("option", { value: id, selected: id === chosen }, name)));
}

/** The API query, for the view and the CSV alike. */
function query() {
  const { from, to, tool, model, by } = form.elements;
  return { from: from.value, to: to.value, tool: tool.value, model: model.value, group_by: `day,${by.value}` };
}

// --- reading ----------------------------------------------------------------------------------------------------------

async function refresh() {
  const mine = ++turn;
  byId("view").setAttribute("aria-busy", "true");
  try {
    const month = await get("/v1/usage", { group_by: "day" });
    takePeriod(form, month.last_day);
    const usage = await get("/v1/usage", query());
    if (mine !== turn) return;
    showError(null);
    const first = Date.parse(month.data[0]?.day ?? month.last_day);
    pace = { credits: month.totals.credits, days: 1 + (Date.parse(month.last_day) - first) / DAY_MS };
    view = viewOf(usage);
    draw();
  } finally {
    byId("view").removeAttribute("aria-busy");
  }
}

/**
 * The rows to show. `groups` has all of them, largest first, each `{id, name, color, values, …sums}`; `series` has the
 * first ones and an "other" with the rest, which add up to the total exactly: all are whole numbers.
 */
function viewOf({ data, totals, timezone, first_day, last_day }) {
  const [by, measure] = [form.elements.by.value, form.elements.show.value];
  const days = daysOf(first_day, last_day);
  const place = new Map(days.map((day, index) => [day, index]));
  const found = new Map();
  for (const row of data) {
    const id = row[by];
    if (!found.has(id)) found.set(id, { id, name: names[by].get(id) ?? id, values: days.map(() => 0), credits: 0, generations: 0, failed: 0, total: 0 });
    const group = found.get(id);
    const credits = toMillicredits(row.credits);
    const value = measure === "credits" ? credits : row.generations;
    group.values[place.get(row.day)] += value;
    group.total += value;
    group.credits += credits;
    group.generations += row.generations;
    group.failed += row.failed;
  }
  for (const group of found.values()) group.average = group.credits / group.generations;
  const groups = [...found.values()].sort((a, b) => b.total - a.total || a.name.localeCompare(b.name));
  const own = groups.length <= SERIES_MAX + 1 ? groups.length : SERIES_MAX;
  groups.forEach((group, index) => (group.color = `var(--series-${index < Math.min(own, SERIES_MAX) ? index + 1 : "other"})`));
  const series = groups.slice(0, own);
  const rest = groups.slice(own);
  if (rest.length) {
    const values = days.map((_, index) => rest.reduce((total, group) => total + group.values[index], 0));
    series.push({ id: null, name: `Other (${rest.length} ${by}s)`, color: "var(--series-other)", values, total: rest.reduce((total, group) => total + group.total, 0) });
  }
  return { by, measure, days, groups, series, totals, timezone, format: measure === "credits" ? formatMillicredits : COUNTS.format };
}

// --- drawing ----------------------------------------------------------------------------------------------------------

function draw() {
  const { by, measure, totals, timezone, groups } = view;
  const word = measure === "credits" ? "Credits" : "Generations";
  byId("empty").hidden = groups.length > 0;
  for (const section of byId("view").querySelectorAll("section")) section.hidden = groups.length === 0;
  byId("chart-heading").textContent = `${word} per ${step() === 1 ? "day" : "week"}, by ${by}`;
  byId("breakdown-heading").textContent = `Breakdown by ${by}`;
  byId("days-heading").textContent = `${word} per day`;
  for (const zone of document.querySelectorAll(".zone")) zone.textContent = `Days in ${timezone}`;
  drawTiles(totals);
  if (!groups.length) return;
  drawLegend();
  drawChart();
  drawBreakdown();
  drawDays();
  announce(`${formatCredits(totals.credits)} credits in ${counted(view.days.length, "day")}`);
}

function drawTiles({ credits, generations, failed, refunded }) {
  tell({
    spent: formatCredits(credits),
    "spent-note": `${formatRounded(credits / view.days.length)} a day`,
    count: COUNTS.format(generations),
    "count-note": generations ? `${formatRounded(credits / generations)} credits each` : "",
    failed: COUNTS.format(failed),
    "failed-note": generations ? `${formatRounded((100 * failed) / generations)} % of generations · ${formatCredits(refunded)} returned` : "",
  });
  showLasting();
}

function showLasting() {
  if (!balance || !pace) return;
  const daily = pace.credits / pace.days;
  tell({
    lasts: daily ? counted(Math.floor(balance.available / daily), "day") : "–",
    "lasts-note": daily ? `${withUnit(balance.available)} at ${formatRounded(daily)} a day (last ${counted(pace.days, "day")}), without refills` : "nothing was spent lately",
  });
}

function tell(texts) {
  for (const [id, text] of Object.entries(texts)) byId(id).textContent = text;
}

function drawLegend() {
  const toggle = ({ currentTarget: button }, { id }) => {
    if (!hidden.delete(id)) hidden.add(id);
    button.setAttribute("aria-pressed", !hidden.has(id));
    drawChart();
  };
  const button = (group) => element("button", { type: "button", class: "toggle", "aria-pressed": String(!hidden.has(group.id)), onclick: (event) => toggle(event, group) }, swatch(group.color), group.name);
  show(byId("legend"), view.series.length > 1 && view.series.map(button));
}

/** How many days a bar covers: more than a hundred bars are too thin to see. */
function step() {
  return view.days.length > BARS_MAX ? 7 : 1;
}

function drawChart() {
  const { days, measure, format, timezone } = view;
  const starts = days.filter((_, index) => index % step() === 0);
  const binned = (values) => starts.map((_, bar) => values.slice(bar * step(), (bar + 1) * step()).reduce((total, value) => total + value, 0));
  const shown = view.series.filter(({ id }) => !hidden.has(id));
  bars(byId("chart"), {
    labels: starts.map((day) => SHORT_DAY.format(new Date(day))),
    titles: starts.map((day) => (step() > 1 ? "From " : "") + TABLE_DAY.format(new Date(day))),
    series: shown.map(({ name, color, values }) => ({ name, color, values: binned(values) })),
    format,
    axis: (value) => compact(measure === "credits" ? value / 1000 : value),
    label: `${byId("chart-heading").textContent}, ${days[0]} to ${days.at(-1)} in ${timezone}`,
  });
}

function drawBreakdown() {
  const { by, measure, groups, totals } = view;
  const whole = groups.reduce((total, group) => total + group.total, 0);
  const row = (group) => {
    const share = whole ? (100 * group.total) / whole : 0;
    const bar = element("span", { class: "part", "aria-hidden": "true" });
    bar.style.setProperty("--swatch", group.color);
    bar.style.setProperty("--part", `${share}%`);
    return line(element("span", { class: "named" }, swatch(group.color), listed(group, group.name)), [...numbers(group.generations, group.failed && listed(group, COUNTS.format(group.failed), { status: "failed" }), group.credits), element("td", { class: "share-cell" }, bar, `${formatRounded(share)}\u00a0%`)]);
  };
  const foot = line("Total", [...numbers(totals.generations, totals.failed && COUNTS.format(totals.failed), toMillicredits(totals.credits)), element("td", {})]);
  const columns = [["name", by === "model" ? "Model" : "Tool"], ["generations", "Generations", true], ["failed", "Failed", true], ["credits", "Credits", true], ["average", "Average", true], ["total", `Share of ${measure}`]];
  const sort = (chosen) => {
    order = chosen;
    drawBreakdown();
  };
  show(byId("breakdown"), table(sortableHeads(columns, order, sort), (order.by ? sorted(groups, order) : groups).map(row), { foot, cards: true }));
}

/** A link to the generations behind a number, in the gallery. */
function listed({ id }, text, more) {
  const { from, to } = form.elements;
  return element("a", { href: withQuery("/gallery", { [view.by]: id, from: from.value, to: to.value, ...more }) }, text);
}

function numbers(generations, failed, millicredits) {
  return [COUNTS.format(generations), failed || "–", formatMillicredits(millicredits), formatRounded(millicredits / 1000 / generations)];
}

function drawDays() {
  const { days, series, format } = view;
  const cell = (text, value) => element("td", { class: value ? "amount" : "amount quiet-text" }, text);
  const row = (head, values) => {
    const total = values.reduce((sum, value) => sum + value, 0);
    return line(head, [...values.map((value) => cell(value ? format(value) : "–", value)), cell(format(total), total)]);
  };
  const ofDay = (day, index) => row(element("time", { datetime: day }, TABLE_DAY.format(new Date(day))), series.map(({ values }) => values[index]));
  const heads = ["Day", ...series.map(({ name, color }) => element("th", { scope: "col", class: "amount" }, swatch(color), " ", name)), "Total"];
  show(byId("days"), table(heads, days.map(ofDay).reverse(), { foot: row("Total", series.map(({ total }) => total)) }));
}

// --- export -----------------------------------------------------------------------------------------------------------

function exportCsv() {
  return saveCsv("/v1/usage", query(), `usage-${view.days[0]}-${view.days.at(-1)}.csv`);
}
