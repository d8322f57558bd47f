// The Estimator page: a month's credits, with the full calculation, and the plan that covers them. It is calculated by the
// API (POST /v1/estimates), and not binding.

import { get, isAborted, post } from "./api.js";
import { counted, difference, formatCredits, formatExact, formatMoney, formatRounded, upTo, withUnit } from "./amounts.js";
import { byId, element, icon, show, showError } from "./dom.js";
import { forbidding, markForbidden } from "./forbidden.js";
import { settingControls, settingsOf } from "./settings.js";
import { startPage } from "./shell.js";
import { line, noLines, table } from "./tables.js";
import { settingName, settingValue } from "./words.js";

const ASK_AFTER_MS = 150;
const FEW = 100;
// The initial example: 30 images per day at 24 credits, and 10 videos at 210, on 22 days.
const EXAMPLE = [
  { credits: 24, tool: "image", per_day: 30 },
  { credits: 210, tool: "video", per_day: 10 },
];
const CANDIDATES = [{}, { duration: 6 }, { resolution: "720p", duration: 6 }, { duration: 4 }, { duration: 8 }];

let card = null;
let plans = null;
let rows = []; // {tool, model, settings, outputs, per_day, root}
let numbered = 0;
let asking = null;
let later = null;

await startPage(start);

async function start() {
  [card, plans] = await Promise.all([get("/v1/rate-card"), get("/v1/plans")]);
  const said = fromUrl();
  for (const row of said?.rows ?? (await example())) addRow(row);
  if (said) {
    byId("days").value = said.days;
    byId("buffer").value = said.buffer;
  }
  byId("add").addEventListener("click", () => {
    addRow({ ...rows.at(-1), settings: undefined, per_day: 1, model: rows.at(-1)?.model ?? card.models[0].id }).querySelector("select").focus();
    changed();
  });
  for (const id of ["days", "buffer"]) byId(id).addEventListener("input", changed);
  byId("sources").addEventListener("change", changed);
  showBuffer();
  await estimate();
}

/** The example, with models of the card that have these prices at some settings; else the tools' baseline models. */
async function example() {
  const found = [];
  for (const { credits, tool, per_day } of EXAMPLE) {
    const known = card.tools.find(({ id }) => id === tool);
    if (!known) continue;
    const tried = card.models.filter((model) => model.tool === tool).flatMap((model) => CANDIDATES.filter((settings) => Object.entries(settings).every(([name, value]) => takes(model.settings[name], value)) && !forbidding(model, settings)).map((settings) => ({ tool, model: model.id, settings })));
    const { items } = await post("/v1/estimates", { items: tried.slice(0, 100).map((one) => ({ ...one, per_day: 1, days: 1 })), buffer: 0 });
    const exact = items.findIndex((item) => item.unit_credits === credits);
    found.push({ ...(exact < 0 ? { tool, model: known.baseline_model, settings: {} } : tried[exact]), outputs: 1, per_day });
  }
  return found.length ? found : [{ tool: card.models[0].tool, model: card.models[0].id, settings: {}, outputs: 1, per_day: 1 }];
}

function takes(setting, value) {
  return setting && (setting.values ? setting.values.includes(value) : value >= setting.min && value <= setting.max && (value - setting.min) % setting.step === 0);
}

// --- rows -------------------------------------------------------------------------------------------------------------

function addRow({ model: id, settings, per_day, outputs = 1 }) {
  const number = ++numbered;
  const model = card.models.find((one) => one.id === id) ?? card.models[0];
  const row = { model, per_day, outputs };
  const choose = (event) => {
    row.model = card.models.find((one) => one.id === event.target.value);
    fill({});
    changed();
  };
  const options = card.tools.map((tool) => element("optgroup", { label: tool.name }, card.models.filter((one) => one.tool === tool.id).map((one) => element("option", { value: one.id, selected: one === model }, one.name))));
  const field = (name, label, control) => element("div", { class: "field" }, element("label", { for: `${name}-${number}` }, label), control);
  const much = element("input", { id: `per-day-${number}`, type: "number", min: 0.001, step: "any", max: 1_000_000, value: per_day, inputmode: "decimal", oninput: changed });
  const count = element("input", { id: `outputs-${number}`, type: "number", min: 1, max: model.outputs_max, step: 1, value: outputs, inputmode: "numeric", oninput: changed });
  const controls = element("div", { class: "settings" });
  const summary = element("span", {});
  const remove = () => {
    if (rows.length === 1) return;
    rows.splice(rows.indexOf(row), 1);
    row.root.remove();
    byId("add").focus();
    changed();
  };
  const removing = element("button", { type: "button", class: "quiet icon", onclick: remove }, icon("close"), element("span", { class: "unseen" }, `Remove row ${number}`));
  row.root = element(
    "fieldset",
    { class: "estimate-row" },
    element("legend", { class: "unseen" }, `Row ${number}`),
    element("div", { class: "row-head" }, field("model", "Model", element("select", { id: `model-${number}`, onchange: choose }, options)), field("per-day", "A day", much), field("outputs", "Outputs per request", count), removing),
    element("details", {}, element("summary", { class: "hint" }, "Settings", summary), controls),
  );
  Object.assign(row, { much, count, controls, summary });
  const fill = (values) => {
    const mark = () => markForbidden(controls, row.model);
    const drawn = settingControls(row.model, values ?? {}, () => (mark(), changed()));
    show(controls, drawn);
    mark();
    for (const input of controls.querySelectorAll("[name]")) input.name += `-${number}`; // radio buttons of one row only
    for (const input of controls.querySelectorAll("[id]")) rename(controls, input, number);
    count.max = row.model.outputs_max;
    count.value = Math.min(count.value, row.model.outputs_max);
  };
  fill(settings);
  tellSettings(row);
  rows.push(row);
  byId("rows").append(row.root);
  return row.root;
}

function tellSettings({ model, controls, summary }) {
  const text = settingsText(model, settingsOf(controls));
  summary.textContent = text && `: ${text}`;
}

/** The settings that are not the model's defaults. */
function chosenOf(model, settings) {
  return Object.entries(settings).filter(([name, value]) => model.settings[name] && model.settings[name].default !== value);
}

/** The same as text: "720p, 6 s". */
function settingsText(model, settings) {
  return chosenOf(model, settings).map(([name, value]) => (typeof value === "boolean" ? `${settingName(name).toLowerCase()} ${settingValue(value)}` : settingValue(value, model.settings[name].unit))).join(", ");
}

function rename(root, input, number) {
  const label = root.querySelector(`label[for="${CSS.escape(input.id)}"]`);
  const output = root.querySelector(`output[for="${CSS.escape(input.id)}"]`);
  input.id += `-${number}`;
  label?.setAttribute("for", input.id);
  output?.setAttribute("for", input.id);
}

function itemOf({ model, much, count, controls }, days) {
  return { tool: model.tool, model: model.id, settings: settingsOf(controls), outputs: Number(count.value), per_day: Number(much.value), days };
}

function fromUsage() {
  return byId("sources").querySelector(":checked").value === "usage";
}

// --- the estimate -----------------------------------------------------------------------------------------------------

function changed() {
  for (const row of rows) tellSettings(row);
  showBuffer();
  toUrl();
  clearTimeout(later);
  later = setTimeout(() => estimate().catch(showError), ASK_AFTER_MS);
}

function showBuffer() {
  byId("percent").value = `${byId("buffer").value} %`;
  byId("rows").hidden = byId("planning").hidden = fromUsage();
}

async function estimate() {
  asking?.abort();
  asking = new AbortController();
  const buffer = Number(byId("buffer").value) / 100;
  const body = fromUsage() ? { from: "last_30_days" } : { items: rows.map((row) => itemOf(row, Number(byId("days").value))) };
  try {
    showEstimate(await post("/v1/estimates", { ...body, buffer }, { signal: asking.signal }));
    byId("problem").textContent = "";
  } catch (error) {
    if (isAborted(error)) return;
    byId("problem").textContent = error.message;
  }
}

function showEstimate(made) {
  const percent = Number(byId("buffer").value);
  const used = fromUsage();
  byId("total").textContent = upTo(made.at_most) + about(made.with_buffer);
  byId("without").textContent = `${about(made.credits)} without buffer.`;
  const name = (id) => card.models.find((model) => model.id === id)?.name ?? id;
  const said = (item) => {
    const model = card.models.find((one) => one.id === item.model);
    return model && settingsText(model, item.settings);
  };
  const row = (item) => {
    const locked = !item.allowed && !used && element("span", { class: "badge" }, icon("lock"), item.reason === "plan_limit" ? "not in your plan" : "Pro");
    const head = [name(item.model), " ", locked, element("span", { class: "hint lines" }, said(item), item.outputs > 1 && ` × ${counted(item.outputs, "output")}`)];
    const each = item.ordered_this_month === undefined ? "" : ` at first, ${formatExact(item.ordered_this_month)} ordered this month`;
    const made = used ? `${counted(Math.round(item.per_day * item.days), "output")} × ${formatRounded(item.unit_credits)}` : `${formatExact(item.per_day)} × ${formatExact(item.unit_credits)}${each} × ${counted(item.days, "day")}`;
    return line(head, [made, formatCredits(item.credits)]);
  };
  const { items, credits, buffer, with_buffer } = made;
  const parts = items.length > 1 && items.length < 5 ? items.map((item) => formatCredits(item.credits)).join(" + ") : "";
  const foot = [line("Together", [parts, formatCredits(credits)]), line(`With ${percent} % buffer`, [`${formatCredits(credits)} × ${formatExact(1 + buffer)}`, about(with_buffer)])];
  const heads = ["Model", used ? "Outputs × credits on average" : "Per day × credits × days", "Credits"];
  show(byId("sum"), table(heads, items.length ? items.map(row) : noLines(3, "Nothing was made in your last 30 days."), { foot, class: "dense wrapping" }));
  showCover(made);
}

/** An estimated amount: whole credits, unless there are few. */
function about(credits) {
  return formatCredits(credits < FEW ? credits : Math.round(credits));
}

function showCover(made) {
  const plan = plans.data.find(({ id }) => id === made.cheapest_plan);
  const price = plan && (plan.price.monthly !== undefined ? `${formatMoney(plan.price.monthly)} a month` : "");
  const over = plan && difference(plan.monthly_credits, made.with_buffer);
  const none = element("p", {}, element("strong", {}, "No single plan covers this."), " A plan plus top-ups may.");
  const covered = plan && [
    element("p", { class: "row apart" }, element("strong", { class: "figure" }, plan.name), element("span", {}, price)),
    element("p", { class: "hint" }, `${withUnit(plan.monthly_credits)} a month: ${about(over)} to spare.`),
    element("p", {}, element("a", { class: "button", href: "/plans" }, "See the plans")),
  ];
  show(byId("cover"), covered || none);
  const words = (one) => (one.covers ? "covers this" : !one.allowed ? "does not include everything" : `${about(difference(made.with_buffer, one.credits))} short`);
  const line = (one) => element("li", { class: "row apart small" }, element("span", { class: one.covers ? "good-text row" : "quiet-text row" }, icon(one.covers ? "check" : "close"), plans.data.find(({ id }) => id === one.plan)?.name ?? one.plan), element("span", { class: "quiet-text" }, words(one)));
  show(byId("advice"), made.plans.map(line));
}

// --- the URL: an estimate can be shared -----------------------------------------------------------------------

function toUrl() {
  const said = rows.map((row) => {
    const { model, settings, outputs, per_day } = itemOf(row, 1);
    return { model, settings: Object.fromEntries(chosenOf(row.model, settings)), outputs, per_day };
  });
  const query = new URLSearchParams({ rows: JSON.stringify(said), days: byId("days").value, buffer: byId("buffer").value });
  history.replaceState(null, "", `?${query}`);
}

function fromUrl() {
  const asked = new URLSearchParams(location.search);
  try {
    const said = JSON.parse(asked.get("rows"));
    return said?.length ? { rows: said, days: asked.get("days") ?? 22, buffer: asked.get("buffer") ?? 25 } : null;
  } catch {
    return null; // not an estimate of ours
  }
}
