// The Operations page: queues and holds, now and over the last hour, day or week.

import { get, post, withQuery } from "./api.js";
import { counted, formatCredits, formatRounded } from "./amounts.js";
import { bars, dashed, lines, niceTop, swatch } from "./chart.js";
import { announce, byId, element, icon, isPressed, redraw, show, showError } from "./dom.js";
import { actButton, may } from "./fields.js";
import { on } from "./live.js";
import { pauseButton, pausesTable, readPauses } from "./pauses.js";
import { session, startPage } from "./shell.js";
import { line, records, table } from "./tables.js";
import { formatUntil } from "./times.js";

const RANGES = {
  "1h": { ms: 3_600_000, name: "The last hour", bar: 30, thin: 2, mark: 10 },
  "24h": { ms: 86_400_000, name: "The last 24 hours", bar: 30, thin: 6, mark: 180 },
  "7d": { ms: 7 * 86_400_000, name: "The last 7 days", bar: 24, thin: 4, mark: 1440 },
};
const READ_EVERY_MS = 10_000;
const TABLE_ROWS = 12;
const ALIVE_SECONDS = 15;
const CLOCK = new Intl.DateTimeFormat("en-US", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat("en-US", { month: "short", day: "numeric" });
const WHOLE = new Intl.NumberFormat("en-US");
const ENDINGS = { succeeded: ["Succeeded", "var(--series-4)"], failed: ["Failed", "var(--bad)"], cancelled: ["Cancelled", "var(--series-other)"] };

let names = { tool: new Map(), model: new Map() };
let now = null; // what GET /v1/ops/queues says
let past = null; // what GET /v1/ops/series says
let pauses = [];
let paused = false;
let turn = 0;

async function start() {
  const card = await get("/v1/rate-card");
  names = { tool: new Map(card.tools.map(({ id, name }) => [id, name])), model: new Map(card.models.map(({ id, name }) => [id, name])) };
  const pause = element("button", { type: "button", id: "pause", "aria-pressed": "false", onclick: togglePause }, icon("clock"), element("span", {}, "Pause live updates"));
  byId("actions").append(pause);
  const asked = new URLSearchParams(location.search).get("range");
  if (asked in RANGES) byId("ranges").querySelector(`[value="${asked}"]`).checked = true;
  byId("ranges").addEventListener("change", () => {
    history.replaceState(null, "", range() === "1h" ? location.pathname : `?range=${range()}`);
    readPast().catch(showError);
  });
  on("queues", (data) => !paused && takeNow(data));
  on("again", () => !paused && readPast().catch(showError));
  byId("audit-now").append(...(may(who.scope, "all") ? [actButton("Run now", () => askForAudit().catch(showError), "Run the audit now")] : []));
  pauses = await readPauses();
  takeNow(await get("/v1/ops/queues"));
  drawPauses();
  await readPast();
  setInterval(() => !paused && !document.hidden && readPast().catch(showError), READ_EVERY_MS);
}

/** The list behind a number, as a link; 0 has none. */
function listed(number, query, text = WHOLE.format(number)) {
  return number ? element("a", { href: withQuery("/work", query) }, text) : text;
}

/** What is paused changes with an action here, or elsewhere. */
async function readPausesAgain() {
  pauses = await readPauses();
  drawPauses();
  takeNow(now);
}

async function afterPause(text) {
  await readPausesAgain();
  return text;
}

function drawPauses() {
  byId("paused").hidden = pauses.length === 0;
  redraw(byId("pauses"), pausesTable(pauses, who.scope, afterPause));
}

function range() {
  return byId("ranges").querySelector(":checked").value;
}

function togglePause({ currentTarget: button }) {
  paused = !paused;
  button.setAttribute("aria-pressed", String(paused));
  button.lastChild.textContent = paused ? "Resume live updates" : "Pause live updates";
  announce(paused ? "Paused" : "Live");
  if (!paused) readPast().catch(showError); // what is now, the next event says
}

// --- now --------------------------------------------------------------------------------------------------------------

function takeNow(data) {
  now = data;
  if (isPressed()) return; // the next event draws it
  redraw(byId("open"), listed(now.open, {}));
  byId("open-note").textContent = `of ${counted(now.accounts, "account")}`;
  redraw(byId("held"), listed(now.held_credits, {}, formatCredits(now.held_credits)));
  redraw(byId("overdue"), listed(now.overdue, { status: "overdue" }));
  byId("overdue").className = now.overdue ? "figure bad-text" : "figure";
  byId("overdue-note").textContent = now.overdue ? "not handled: is a caretaker running?" : "0 when healthy";
  drawAudit(now.audit);
  byId("rate-card").hidden = !now.rate_card.problem;
  byId("rate-card").textContent = `The rate card on disk is invalid; the old prices stay in effect: ${now.rate_card.problem}`;
  drawQueues();
  drawProviders();
  drawWorkers();
}

function drawAudit(audit) {
  const figure = byId("audit");
  figure.className = audit?.differences ? "figure bad-text" : "figure";
  figure.textContent = !audit ? "None yet" : audit.differences ? counted(audit.differences, "difference") : `${WHOLE.format(audit.accounts)} of ${WHOLE.format(Math.max(now.accounts, audit.accounts))} accounts`;
  byId("audit-note").textContent = audit ? `${audit.differences ? `in ${counted(audit.accounts, "account")}: run farebox audit` : "without a difference"}, ${ago(audit.at)}; next ${audit.next_at ? formatUntil(audit.next_at) : "within a minute"}` : "soon";
}

async function askForAudit() {
  await post("/v1/ops/audit");
  show(byId("done"), "Audit requested. It starts within a minute.");
  byId("done").hidden = false;
  announce(byId("done").textContent);
}

/** A duration in seconds: "12.5 s", "1.5 min", "2 h". */
function length(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const [unit, size] = seconds < 60 ? ["s", 1] : seconds < 3600 ? ["min", 60] : seconds < 172_800 ? ["h", 3600] : ["days", 86_400];
  return `${formatRounded(seconds / size)} ${unit}`;
}

function ago(at) {
  return at ? `${length((Date.now() - Date.parse(at)) / 1000)} ago` : "–";
}

function badge(kind, picture, text) {
  return element("span", { class: `badge ${kind}` }, icon(picture), text);
}

/** The column with buttons that pause and resume. */
function pausing(kind, nameOf) {
  return ["Actions", (one) => pauseButton({ kind, name: nameOf(one) }, pauses, who.scope, afterPause)];
}

function toolOf({ tool }) {
  return names.tool.get(tool) ?? tool;
}

function drawQueues() {
  const waits = new Map(past?.tools.map(({ tool, waits }) => [tool, waits]));
  const missing = ({ workers, depth, running }) => workers === 0 && depth + running > 0 && badge("bad", "warning", "none");
  const columns = [
    ["Queue", toolOf],
    ["Queued", ({ tool, depth }) => listed(depth, { status: "queued", tool }), true],
    ["Oldest queued", (queue) => length(queue.oldest_age_seconds), true],
    ["Waiting for a limit", ({ tool, waiting }) => listed(waiting, { status: "waiting", tool }), true],
    ["In work", ({ tool, running }) => listed(running, { status: "running", tool }), true],
    ["Workers", (queue) => missing(queue) || (queue.workers === null ? "unknown" : WHOLE.format(queue.workers)), true],
    ["Median wait", ({ tool }) => length(waits.get(tool)?.median_seconds), true],
    ["95 % within", ({ tool }) => length(waits.get(tool)?.p95_seconds), true],
    pausing("tool", ({ tool }) => tool),
  ];
  redraw(byId("queues"), records(columns, now.queues));
}

const LISTED = /^(provider_|output_|moderated)/; // how a generation may fail; "unreachable" and "busy" are tried again

const PROVIDER_STATES = { working: ["good", "check", "working"], failing: ["bad", "warning", "failing"], unknown: ["", "clock", "unused for a week"] };

const SKIPPED = { open: "nothing new: it fails", full: "all slots taken", rate: "rate limit reached" };

function failuresOf({ name, last_hour: { succeeded: _, ...failures } }) {
  const of = ([code, count]) => element("div", {}, element("code", {}, code), " ", LISTED.test(code) ? listed(count, { status: "failed", provider: name, code }) : WHOLE.format(count));
  return Object.keys(failures).length ? Object.entries(failures).map(of) : "–";
}

function providerOf({ name, kind, models }) {
  const made = models.map((model) => names.model.get(model) ?? model).join(", ");
  return [name, element("div", { class: "hint" }, kind), element("div", { class: "hint clamped", title: made }, made)];
}

function failureOf({ failed_at: at, last_failure: last }) {
  return [ago(at), last?.message && element("div", { class: "hint clamped", title: last.message }, last.message)];
}

function rateOf({ last_hour: { succeeded = 0, busy: _, ...failures } }) {
  const tries = addUp(Object.values(failures)) + succeeded; // one without room is tried again: no failure
  return tries ? `${formatRounded((100 * succeeded) / tries)} % of ${WHOLE.format(tries)}` : "–";
}

function workOf({ name, in_work: inWork, max_in_work: most }) {
  return listed(inWork, { status: "running", provider: name }, most === null ? WHOLE.format(inWork) : `${WHOLE.format(inWork)} of ${WHOLE.format(most)}`);
}

function drawProviders() {
  const columns = [
    ["Provider", providerOf],
    ["State", ({ state, skipped }) => [badge(...PROVIDER_STATES[state]), SKIPPED[skipped] && element("div", { class: "hint" }, SKIPPED[skipped])]],
    ["Failures, last hour", failuresOf],
    ["Succeeded, last hour", rateOf, true],
    ["In work", workOf, true],
    ["Queued", ({ name, in_line: inLine }) => listed(inLine, { status: "queued", provider: name }), true],
    ["Last success", ({ succeeded_at: at }) => ago(at), true],
    ["Last failure", failureOf],
    pausing("provider", ({ name }) => name),
  ];
  const none = now.providers ? "Only the sandbox, which renders test images: the rate card has no other provider." : "The queue is not responding.";
  redraw(byId("providers"), records(columns, now.providers ?? [], none));
}

function drawWorkers() {
  const columns = [
    ["Worker", ({ name }) => element("code", {}, name)],
    ["Queue", toolOf],
    ["State", ({ silent_seconds: silent }) => (silent < ALIVE_SECONDS ? badge("good", "check", "alive") : badge("bad", "warning", "silent"))],
    ["Last heartbeat", ({ silent_seconds: silent }) => `${length(silent)} ago`, true],
  ];
  const workers = now.queues.flatMap(({ tool, heartbeats }) => heartbeats.map((worker) => ({ tool, ...worker })));
  show(byId("workers"), records(columns, workers, "No worker seen in the last five minutes."));
}

// --- the past ---------------------------------------------------------------------------------------------------------

async function readPast() {
  const mine = ++turn;
  const { ms, name } = RANGES[range()];
  const from = new Date(Date.now() - ms).toISOString();
  const [read, paused] = await Promise.all([get("/v1/ops/series", { from }), readPauses()]);
  if (mine !== turn) return;
  [past, pauses] = [read, paused];
  showError(null);
  if (isPressed()) return;
  drawPauses();
  byId("past-heading").textContent = name;
  const worst = past.step_seconds > 10 ? ", showing the worst in each" : "";
  const gaps = past.open.every((value) => value === null) ? "No samples yet: is a caretaker running?" : past.open.includes(null) ? "Gaps: no samples." : "";
  byId("step").textContent = `One value every ${length(past.step_seconds)}${worst}. Times are in your time zone. ${gaps}`;
  drawCharts();
  drawFailures();
  if (now) drawQueues();
}

const byTool = (member) => () => past.tools.map(({ tool, ...series }, index) => ({ name: names.tool.get(tool) ?? tool, color: `var(--series-${index + 1})`, values: series[member] }));
const one = (name, member, color) => () => [{ name, color, values: past[member] }];
/** The smallest round duration, also in minutes or hours, at or above `most` seconds. */
function niceLength(most) {
  return [0.4, 2, 4, 8, 20, 40, 60, 120, 240, 480, 1200, 2400, 3600].find((top) => top >= most) ?? 3600 * niceTop(most / 3600);
}

const lengths = { format: length, axis: length, nice: niceLength };

const CHARTS = [
  { id: "oldest", name: "Age of the oldest job", series: byTool("oldest_age_seconds"), ...lengths },
  { id: "depth", name: "Queued", series: byTool("depth") },
  { id: "p95", name: "Wait: 95 % started within", series: byTool("wait_p95_seconds"), ...lengths },
  { id: "median", name: "Wait: median", series: byTool("wait_median_seconds"), ...lengths },
  { id: "running", name: "In work", series: byTool("running") },
  { id: "waiting", name: "Waiting for their account's limit", series: byTool("waiting") },
  { id: "ended", name: "Throughput: ended", series: endings, of: addUp },
  { id: "alive", name: "Live workers", series: byTool("workers"), of: fewest, alarming: (last) => last === 0 },
  { id: "held-credits", name: "Held credits", series: one("Held", "held_credits", "var(--series-3)"), format: formatCredits },
  { id: "late", name: "Overdue deadlines", series: one("Overdue", "overdue", "var(--bad)"), alarming: (last) => last > 0 },
];

function endings() {
  const total = (state) => past.open.map((_, index) => past.tools.reduce((sum, tool) => (tool[state][index] === null ? sum : (sum ?? 0) + tool[state][index]), null));
  return Object.entries(ENDINGS).map(([state, [name, color]]) => ({ name, color, values: total(state) }));
}

function panelOf({ id, name }) {
  return element(
    "section",
    { class: "panel stack tight", "aria-labelledby": `${id}-heading` },
    element("div", { class: "row apart" }, element("h3", { id: `${id}-heading` }, name, " ", element("span", { class: "quiet-text", id: `${id}-each` })), element("div", { class: "row small", id: `${id}-legend` })),
    element("div", { id: `${id}-chart` }),
    element("details", {}, element("summary", { class: "hint" }, "As a table"), element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${name} as a table`, id: `${id}-table` })),
  );
}

function drawCharts() {
  // Not before there is something to draw: panels that change their order later would move.
  if (!byId("charts").childElementCount) byId("charts").append(...CHARTS.map(panelOf));
  const first = Date.parse(past.first_at);
  const times = past.open.map((_, index) => new Date(first + index * past.step_seconds * 1000));
  const { bar, thin, mark, name: when } = RANGES[range()];
  for (const { id, name, series, format = WHOLE.format, axis, nice, of = most, alarming } of CHARTS) {
    const counts = of === addUp;
    const drawn = { series: series(), labels: times, titles: times.map((at) => `${DAY.format(at)}, ${CLOCK.format(at)}`) };
    const legend = drawn.series.map(({ name: what, color }, index) => element("span", { class: "row legend" }, counts ? swatch(color) : dashed(color, index), what));
    show(byId(`${id}-legend`), drawn.series.length > 1 && legend);
    // What is wrong now comes first.
    const wrong = alarming && drawn.series.some(({ values }) => alarming(values.findLast((value) => value !== null)));
    byId(`${id}-heading`).closest("section").style.order = wrong ? -1 : 0;
    const parts = counts ? bar : thin;
    byId(`${id}-each`).textContent = counts ? `in each ${length(parts * past.step_seconds)}` : "";
    const plotted = parted(drawn, parts, of);
    (counts ? bars : lines)(byId(`${id}-chart`), { ...plotted, labels: marksOf(plotted.labels, mark), format, axis, nice, label: `${name}, ${when.toLowerCase()}`, low: true });
    drawTable(byId(`${id}-table`), parted(drawn, Math.ceil(times.length / TABLE_ROWS), of), format, of);
  }
}

/** Texts for the first of the times in each span of `minutes` of a day, and null for the others: 23:10, 23:20. */
function marksOf(times, minutes) {
  const begins = (at) => new Date(at.getFullYear(), at.getMonth(), at.getDate(), 0, Math.floor((at.getHours() * 60 + at.getMinutes()) / minutes) * minutes);
  const text = minutes < 1440 ? CLOCK : DAY;
  return times.map((at, index) => (index && begins(at) > begins(times[index - 1]) ? text.format(begins(at)) : null));
}

/** Fewer values, each from this many `parts`: counts are summed, gauges take the worst, so that no peak is lost. */
function parted({ series, labels, titles }, parts, of) {
  const starts = labels.flatMap((_, index) => (index % parts ? [] : [index]));
  const known = (values) => values.filter((value) => value !== null);
  const each = (values) => starts.map((start) => known(values.slice(start, start + parts))).map((some) => (some.length ? of(some) : null));
  return { labels: starts.map((start) => labels[start]), titles: starts.map((start) => titles[start]), series: series.map((one) => ({ ...one, values: each(one.values) })) };
}

function most(values) {
  return Math.max(...values);
}

function fewest(values) {
  return Math.min(...values);
}

function addUp(values) {
  return values.reduce((total, value) => total + value, 0);
}

function drawTable(root, { series, titles }, format, of) {
  const row = (title, index) => line(title, series.map(({ values }) => (values[index] === null ? "–" : format(values[index]))));
  const from = of === addUp ? "From" : of === fewest ? "From (fewest)" : "From (most)";
  show(root, table([from, ...series.map(({ name }) => name)], titles.map(row)));
}

function drawFailures() {
  const ended = new Map();
  for (const { model, generations } of past.outcomes) ended.set(model, (ended.get(model) ?? 0) + generations);
  const failed = past.outcomes.filter(({ status }) => status === "failed").sort((a, b) => b.generations - a.generations);
  const columns = [
    ["Model", ({ model }) => names.model.get(model) ?? model],
    ["Queue", toolOf],
    ["Code", ({ code }) => element("code", {}, code)],
    ["Failed", ({ model, code, generations }) => listed(generations, { status: "failed", model, code }), true],
    ["Share", ({ model, generations }) => `${formatRounded((100 * generations) / ended.get(model))} % of ${WHOLE.format(ended.get(model))}`, true],
    pausing("model", ({ model }) => model),
  ];
  byId("failures-heading").textContent = `Failures by model, ${RANGES[range()].name.toLowerCase()}`;
  redraw(byId("failures"), records(columns, failed, "Nothing failed."));
}

const who = await session;
await startPage(start);
