// The Margin page, for roles that see money: what generations earned and cost, by model, provider, bucket or day. The
// URL has the days and the grouping; the chart, the tables and the CSV are of the same days.

import { get, saveCsv, withQuery } from "./api.js";
import { counted, formatCredits, formatRounded } from "./amounts.js";
import { dashed, daysOf, lines, periodOrDate, takePeriod } from "./chart.js";
import { announce, byId, element, icon, opened, show, showError } from "./dom.js";
import { startPage } from "./shell.js";
import { line, sortableHeads, sorted, table } from "./tables.js";
import { BUCKETS } from "./words.js";

const MEASURES = ["revenue", "cost", "margin", "losses"];
const NO_DRIFT = -1e9; // sorted before those that have one
const FILTERS = ["period", "from", "to", "by"];
const SERIES = [["Revenue", "revenue", "var(--series-1)"], ["Cost", "cost", "var(--series-3)"]];

const form = byId("filters");
let names = new Map();
let order = {}; // of the table: {by, down}; without: highest revenue first, newest day first
let margin = null; // what is shown
let turn = 0;

await startPage(async () => {
  const asked = new URLSearchParams(location.search);
  for (const name of FILTERS) form.elements[name].value = asked.get(name) ?? form.elements[name].value;
  periodOrDate(form, asked.get("from") && asked.get("to") ? "from" : "period");
  const card = await get("/v1/rate-card");
  names = new Map(card.models.map(({ id, name }) => [id, name]));
  byId("actions").append(element("button", { type: "button", onclick: () => saveCsv("/v1/ops/margin", query(`day,model,provider${margin.by === "bucket" ? ",bucket" : ""}`), `margin-${margin.first_day}-${margin.last_day}.csv`).catch(showError) }, icon("download"), "Export CSV"));
  form.addEventListener("change", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  opened(form);
  await read();
});

function changed({ target }) {
  periodOrDate(form, target.name);
  const { period, from, to, by } = form.elements;
  if (!period.value && Boolean(from.value) !== Boolean(to.value)) return; // a date is being typed
  order = {};
  history.replaceState(null, "", withQuery(location.pathname, { ...(period.value ? { period: period.value === "30" ? "" : period.value } : { from: from.value, to: to.value }), by: by.value === "model" ? "" : by.value }));
  read().catch(showError);
}

function query(by) {
  const { from, to } = form.elements;
  return { from: from.value, to: to.value, group_by: by };
}

async function read() {
  const mine = ++turn;
  byId("view").setAttribute("aria-busy", "true");
  try {
    const { by: { value: by }, period } = form.elements;
    if (period.value) takePeriod(form, (await get("/v1/ops/margin", { group_by: "bucket" })).last_day);
    const [daily, grouped] = await Promise.all([get("/v1/ops/margin", query("day")), by !== "day" && get("/v1/ops/margin", query(by))]);
    if (mine !== turn) return;
    showError(null);
    margin = { ...daily, by, rows: (grouped || daily).data.map((row) => shown(row, by)) };
    form.elements.from.value = daily.first_day;
    form.elements.to.value = daily.last_day;
    draw();
  } finally {
    byId("view").removeAttribute("aria-busy");
  }
}

/** A row with numbers to sort by, beside what the API says. */
function shown(row, by) {
  return { ...row, row, id: row[by], name: names.get(row[by]) ?? BUCKETS[row[by]] ?? row[by] ?? "Nothing held", drift: row.drift.percent ?? NO_DRIFT, ...Object.fromEntries(MEASURES.map((name) => [name, Number(row[name])])) };
}

function inMoney(amount) {
  return new Intl.NumberFormat("en-US", { style: "currency", currency: margin.currency, maximumFractionDigits: 4 }).format(amount).replace("-", "−");
}

/** Margin as a share of revenue. */
function shareOf({ revenue, margin: left }) {
  return Number(revenue) ? `${formatRounded((100 * left) / revenue)} %` : "";
}

function bucketsOf({ revenue_by_bucket: parts }) {
  return Object.entries(parts).filter(([, amount]) => Number(amount)).map(([bucket, amount]) => `${BUCKETS[bucket]} ${inMoney(amount)}`);
}

function costsOf({ assumed, reported }) {
  return Number(reported) ? [`${inMoney(assumed)} assumed`, `${inMoney(reported)} reported`] : Number(assumed) ? ["assumed"] : [];
}

function draw() {
  const { totals, data, by, rows, timezone, currency } = margin;
  byId("empty").hidden = rows.length > 0;
  for (const section of byId("view").querySelectorAll("section")) section.hidden = !rows.length;
  for (const name of MEASURES) byId(name).textContent = inMoney(totals[name]);
  byId("revenue-note").textContent = bucketsOf(totals).join(" · ");
  byId("cost-note").textContent = costsOf(totals).join(" · ");
  byId("margin-note").textContent = shareOf(totals);
  const { generations, credits } = totals.unknown;
  byId("unknown").hidden = !generations && !credits;
  byId("unknown").textContent = [generations > 0 && `${counted(generations, "generation has", "generations have")} no known cost: give the models a cost in the rate card.`, credits > 0 && `What ${formatCredits(credits)} credits are worth is not known: they count as 0.`].filter(Boolean).join(" ");
  byId("groups-heading").textContent = `By ${by}`;
  byId("zone").textContent = `Days in ${timezone}`;
  byId("table").hidden = by === "day";
  if (!rows.length) return;
  const days = daysOf(margin.first_day, margin.last_day);
  const of = new Map(data.map((row) => [row.day, row]));
  const series = SERIES.map(([name, member, color]) => ({ name, color, values: days.map((day) => Number(of.get(day)?.[member] ?? 0)) }));
  show(byId("legend"), series.map(({ name, color }, index) => element("span", { class: "row legend" }, dashed(color, index), name)));
  lines(byId("chart"), { labels: days.map((day) => day.slice(5)), titles: days, series, format: inMoney, label: `Revenue and cost per day in ${currency}` });
  drawRows(byId("days"), data.map((row) => shown(row, "day")), "day");
  drawRows(byId("groups"), rows, by);
  announce(`Margin ${inMoney(totals.margin)}`);
}

function drawRows(place, rows, by) {
  const columns = [["name", by[0].toUpperCase() + by.slice(1)], ["generations", "Generations", true], ["credits", "Credits", true], ["revenue", "Revenue", true], ["cost", "Cost", true], ["margin", "Margin", true], ["losses", "Losses", true], ["drift", "Drift", true]];
  const sort = (chosen) => {
    order = chosen;
    drawRows(place, rows, by);
  };
  const found = sorted(rows, order.by ? order : by === "day" ? { by: "name", down: true } : { by: "revenue", down: true });
  const row = (one) => line(by === "day" || by === "bucket" ? one.name : element("a", { href: withQuery("/work", { status: "charged", [by]: one.id }) }, one.name), cellsOf(one.row));
  show(place, table(sortableHeads(columns, order, sort, by), found.map(row), { foot: line("All", cellsOf(margin.totals)), cards: true }));
}

function cellsOf(row) {
  const { generations, credits, revenue, cost, losses, drift, unknown } = row;
  const noted = (text, notes) => element("div", {}, text, notes.map((note) => element("div", { class: "hint" }, note)));
  const percent = drift.percent !== null && `${drift.percent > 0 ? "+" : ""}${formatRounded(drift.percent)} %`;
  return [
    generations.toLocaleString("en-US"),
    formatCredits(credits),
    noted(inMoney(revenue), bucketsOf(row)),
    noted(inMoney(cost), [...costsOf(row), ...(unknown.generations ? [`${unknown.generations} unknown`] : [])]),
    noted(element("span", { class: Number(row.margin) < 0 && "bad-text" }, inMoney(row.margin)), [shareOf(row)]),
    inMoney(losses),
    drift.flagged ? element("span", { class: "badge warn", title: `${inMoney(drift.reported)} reported, ${inMoney(drift.assumed)} assumed` }, icon("warning"), percent) : percent || "–",
  ];
}
