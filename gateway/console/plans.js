// The Plans page: each plan's price, credits and limits; the account's own, and how to change, cancel or resume it.

import { call, get, newKey, post } from "./api.js";
import { counted, formatExact, formatMoney, formatRounded, withUnit } from "./amounts.js";
import { buyPlan } from "./checkout.js";
import { openDialog } from "./dialog.js";
import { announce, byId, element, icon, show, showError } from "./dom.js";
import { startPage, watchBalance } from "./shell.js";
import { amountHead, line, table } from "./tables.js";
import { formatDay, formatLength, time } from "./times.js";
import { settingName } from "./words.js";

const MONTHS = { monthly: 1, quarterly: 3, yearly: 12 };
const EVERY = { monthly: "a month", quarterly: "every 3 months", yearly: "a year" };

let plans = null;
let card = null;
let own = null; // the account's plan, as GET /v1/balance says

let who = null;

await startPage((signedIn) => {
  who = signedIn;
  return start();
});

async function start() {
  [plans, card] = await Promise.all([get("/v1/plans"), get("/v1/rate-card")]);
  const asked = new URLSearchParams(location.search).get("interval");
  if (asked in MONTHS) chooseInterval(asked);
  byId("intervals").addEventListener("change", () => {
    history.replaceState(null, "", interval() === "monthly" ? location.pathname : `?interval=${interval()}`);
    draw();
  });
  drawOpens();
  show(byId("version"), "Rate card ", element("code", { title: plans.rate_card }, plans.rate_card.slice(0, 19)), "·", element("a", { href: "/v1/plans" }, "as JSON"));
  if (who.scope === "account") {
    watchBalance((balance) => {
      if (!own && balance.plan.interval && !asked) chooseInterval(balance.plan.interval);
      own = balance.plan;
      drawOwn(balance);
      draw();
    });
  } else {
    draw();
  }
}

function interval() {
  return byId("intervals").querySelector(":checked").value;
}

function chooseInterval(value) {
  byId("intervals").querySelector(`[value=${value}]`).checked = true;
}

function nameOf(id) {
  return plans.data.find((plan) => plan.id === id)?.name ?? (id === "free" ? "Free" : id);
}

// --- the account's own ------------------------------------------------------------------------------------------------

function drawOwn({ plan, buckets }) {
  const box = byId("own");
  box.hidden = plan.status === "none";
  if (box.hidden) return;
  const text = element("div", { class: "stack tight" }, element("p", {}, "Your plan: ", element("strong", {}, nameOf(plan.id)), `, paid ${plan.interval}. `, badgeOf(plan)), element("p", { class: "hint" }, whatNext(plan, buckets.subscription)));
  const cancelled = plan.status === "cancelled";
  const press = cancelled || plan.scheduled ? ["again", cancelled ? "Resume" : `Stay on ${nameOf(plan.id)}`, resume] : ["cancel", "Cancel the plan…", askToCancel];
  show(box, text, element("button", { type: "button", onclick: press[2] }, icon(press[0]), press[1]));
}

function badgeOf({ status, scheduled }) {
  if (status === "cancelled") return element("span", { class: "badge warn" }, "cancelled");
  return scheduled ? element("span", { class: "badge accent" }, "changes") : element("span", { class: "badge good" }, "active");
}

function whatNext({ status, paid_through, scheduled }, { refreshes_at }) {
  if (status === "cancelled") return ["Ends ", time(paid_through, formatDay(paid_through)), ". Its credits expire then; top-ups stay."];
  if (scheduled) return ["Becomes ", nameOf(scheduled.plan), scheduled.interval && `, paid ${scheduled.interval},`, " on ", time(scheduled.at, formatDay(scheduled.at)), "."];
  return ["New credits on ", time(refreshes_at, formatDay(refreshes_at)), paid_through ? [". Paid through ", time(paid_through, formatDay(paid_through)), "."] : ". It renews automatically until you cancel it."];
}

async function move(method, path, body, said) {
  try {
    const before = JSON.stringify(own);
    const balance = method === "POST" ? await post(path, body, { once: newKey() }) : await call(method, path, body);
    showError(null);
    own = balance.plan;
    drawOwn(balance);
    draw();
    announce(JSON.stringify(own) === before ? "Requested. This page updates once it is confirmed." : said);
  } catch (error) {
    showError(error);
    byId("complaint").scrollIntoView({ block: "nearest" });
  }
}

function resume() {
  return move("POST", "/v1/subscription/resume", undefined, "Resumed");
}

function askToCancel() {
  const plan = own;
  const dialog = openDialog(`Cancel ${nameOf(plan.id)}?`, [
    element("p", {}, "You keep the plan and its credits until the end of the paid period", plan.paid_through ? [": ", time(plan.paid_through, formatDay(plan.paid_through))] : "", ". You can resume it until then. After that you are on the free plan; top-ups stay."),
    element(
      "p",
      { class: "row below" },
      element("button", { type: "button", class: "primary", onclick: () => (dialog.close(), move("DELETE", "/v1/subscription", undefined, "Cancelled")) }, "Cancel the plan"),
      element("button", { type: "button", onclick: () => dialog.close() }, "Keep it"),
    ),
  ]);
}

// --- the plans --------------------------------------------------------------------------------------------------------

function draw() {
  const every = interval();
  const savings = plans.data.map(({ price }) => (price.monthly && price[every] ? 1 - price[every] / (price.monthly * MONTHS[every]) : 0));
  const most = Math.max(0, ...savings);
  byId("saving").textContent = most > 0 ? `${formatRounded(100 * most)} % less than monthly${savings.every((one) => Math.abs(one - most) < 0.001) ? "" : ", at most"}` : "";
  show(byId("plans"), freeElement(plans.free), plans.data.map((plan) => planElement(plan, every)));
}

function planElement(plan, every) {
  const price = plan.price[every];
  const mine = own?.id === plan.id;
  const monthly = price && every !== "monthly" && element("span", { class: "hint" }, `${formatMoney(price / MONTHS[every])} a month`);
  const cost = price === undefined ? element("p", { class: "quiet-text" }, `not sold ${every}`) : element("p", {}, element("span", { class: "figure" }, formatMoney(price)), " ", element("span", { class: "quiet-text" }, EVERY[every]), monthly && [element("br"), monthly]);
  return element(
    "section",
    { class: mine ? "panel plan own" : "panel plan", "aria-labelledby": `plan-${plan.id}` },
    element("div", { class: "row apart" }, element("h2", { id: `plan-${plan.id}` }, plan.name), mine && element("span", { class: "badge accent" }, "your plan")),
    cost,
    element("p", {}, element("strong", {}, withUnit(plan.monthly_credits)), " ", element("span", {}, "a month")),
    factsOf(plan, "a month"),
    who.scope === "account" && price !== undefined && element("div", { class: "stack tight last" }, choices(plan, every)),
  );
}

function freeElement(free) {
  const mine = own?.id === "free";
  return element(
    "section",
    { class: mine ? "panel plan own" : "panel plan", "aria-labelledby": "plan-free" },
    element("div", { class: "row apart" }, element("h2", { id: "plan-free" }, "Free"), mine && element("span", { class: "badge accent" }, "your plan")),
    element("p", {}, element("span", { class: "figure" }, formatMoney(0))),
    element("p", {}, element("strong", {}, withUnit(free.daily_credits)), " ", element("span", {}, "a day")),
    factsOf(free, "a day"),
  );
}

/** What a tool makes one of, for a count: "image", "audio file". */
function thing({ name, output }) {
  return name.toLowerCase() + (output === "audio" ? " file" : "");
}

function factsOf({ discounts = {}, estimated_generations, concurrency, max_waiting, head_start_seconds, allow, seats }, every) {
  const model = (id) => card.models.find((one) => one.id === id)?.name ?? id;
  const tool = (id) => thing(card.tools.find((one) => one.id === id) ?? { name: id });
  const atOnce = card.tools.map((tool) => counted(concurrency[tool.id] ?? 1, thing(tool)));
  const lines = [
    ...Object.entries(estimated_generations).map(([id, { model: of, generations }]) => `about ${counted(generations, tool(id))} ${every} with ${model(of)}`),
    ...Object.entries(discounts).map(([id, factor]) => `${id === "*" ? "all" : card.tools.some((one) => one.id === id) ? tool(id) : model(id)} prices × ${formatExact(factor)}`),
    `${atOnce.join(", ")} at once`,
    `${counted(max_waiting, "more", "more")} can wait, per tool`,
    seats ? `up to ${counted(seats, "member")}` : "any number of members",
    head_start_seconds > 0 && `${formatLength(head_start_seconds * 1000)} head start in the queue`,
    ...Object.entries(allow).flatMap(([id, settings]) => Object.entries(settings).map(([name, values]) => `${tool(id)}: ${settingName(name).toLowerCase()} ${values.join(", ")} only`)),
  ];
  return element("ul", { class: "plain facts-list" }, lines.filter(Boolean).map((line) => element("li", {}, icon("check"), element("span", {}, line))));
}

/** The actions for a plan: choose it, or change to it now or at the end of the paid period. */
function choices(plan, every) {
  if (!own) return [];
  const buy = (event) => {
    const pressed = event.currentTarget;
    pressed.disabled = true;
    buyPlan(plan.id, every).catch((error) => {
      pressed.closest("dialog")?.close(); // the notice is below it
      draw();
      showError(error);
      byId("complaint").scrollIntoView({ block: "nearest" });
    });
  };
  const later = () => move("PATCH", "/v1/subscription", { plan: plan.id, interval: every }, `${plan.name} starts when the paid period ends`);
  if (own.status === "none") return [element("button", { type: "button", class: "primary", onclick: buy }, `Choose ${plan.name}`)];
  const same = own.id === plan.id && own.interval === every;
  if (same) return [element("p", { class: "hint" }, own.status === "cancelled" ? "Cancelled: you can resume it above." : "Your current plan.")];
  if (own.scheduled?.plan === plan.id && own.scheduled.interval === every) return [element("p", { class: "hint" }, "Starts when the paid period ends.")];
  const what = () => (own.id === plan.id ? `Pay ${every}` : ["Change", element("span", { class: "unseen" }, ` to ${plan.name}`)]);
  const smaller = plan.monthly_credits < (planOf(own.id)?.monthly_credits ?? 0);
  const at = (text, act, quiet) => element("button", { type: "button", class: quiet ? "quiet small" : smaller ? "" : "primary", onclick: act }, element("span", {}, what(), text));
  const acts = [at(" now", () => preview(plan, every, buy), smaller), at(" when this period ends", later, !smaller)];
  return smaller ? acts.reverse() : acts;
}

function planOf(id) {
  return plans.data.find((plan) => plan.id === id);
}

/** What a change now does, before it is paid. */
function preview(plan, every, buy) {
  const before = planOf(own.id);
  const work = ({ concurrency }) => card.tools.map((tool) => counted(concurrency[tool.id] ?? 1, thing(tool))).join(", ");
  const seats = (one) => one.seats ?? "any number";
  const price = (one, at) => (one.price[at] === undefined ? "–" : `${formatMoney(one.price[at])} ${EVERY[at]}`);
  const facts = [["Price", price], ["Credits a month", (one) => withUnit(one.monthly_credits)], ["At once", work], ["Members", seats]];
  const rows = facts.map(([what, of]) => [what, before ? of(before, own.interval) : "–", of(plan, every)]); // it may be sold no longer
  const leftover = plans.upgrade_leftover === "drop" ? "Plan credits you have left expire." : "Credits you have left stay until their own date.";
  const pay = element("button", { type: "button", class: "primary", onclick: buy }, "Continue to payment");
  openDialog(`Change to ${plan.name}`, [table(["What", amountHead("Now"), amountHead("Then")], rows.map(([what, now, then]) => line(what, [now, then])), { cards: true, "aria-label": "The change" }), element("p", {}, `A new period begins today. ${leftover}`), element("p", {}, pay)]);
}

// --- what they open ---------------------------------------------------------------------------------------------------

function drawOpens() {
  const columns = [{ id: "free", name: "Free", ...plans.free }, ...plans.data];
  const cell = (plan, model) => {
    const limited = Object.entries(plan.allow[model.tool] ?? {}).filter(([name]) => model.settings[name]);
    const open = (!model.pro || plan.id !== "free") && limited.every(([name, values]) => takes(model.settings[name]).some((value) => values.includes(value)));
    if (!open) return element("td", { class: "middle quiet-text" }, "–", element("span", { class: "unseen" }, "not included"));
    const narrowed = limited.filter(([name, values]) => takes(model.settings[name]).some((value) => !values.includes(value)));
    return element("td", { class: "middle" }, narrowed.length ? narrowed.map(([name, values]) => takes(model.settings[name]).filter((value) => values.includes(value)).join(", ")).join("; ") : [icon("check"), element("span", { class: "unseen" }, "all settings")]);
  };
  const bodies = card.tools.map((tool) => {
    const own = card.models.filter((model) => model.tool === tool.id);
    const head = element("tr", {}, element("th", { scope: "rowgroup", colspan: columns.length + 1, class: "group" }, tool.name));
    return element("tbody", {}, head, own.map((model) => line(model.name, columns.map((plan) => cell(plan, model)))));
  });
  const heads = columns.map(({ name }) => element("th", { scope: "col", class: "middle" }, name));
  show(byId("opens"), table(["Model", ...heads], bodies));
}

function takes({ values, min, max, step }) {
  return values ?? Array.from({ length: Math.min(1000, (max - min) / step + 1) }, (_, index) => min + index * step);
}
