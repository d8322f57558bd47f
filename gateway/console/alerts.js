// The Alerts page: at which shares of the plan's credits it is reported that they run low, which are reached, and where.

import { call, get } from "./api.js";
import { formatCredits, formatExact, withUnit } from "./amounts.js";
import { announce, byId, element, show, showError } from "./dom.js";
import { actButton } from "./fields.js";
import { on } from "./live.js";
import { startPage } from "./shell.js";
import { records } from "./tables.js";
import { time } from "./times.js";

const LOOKED_AT = 100; // entries of the journal: when each threshold was last reached

let alerts = null;
let manages = false; // the account's own keys do, too
let last = new Map(); // percent → the journal's entry
let webhooks = [];

await startPage(async () => {
  manages = (await get("/v1/key")).role !== "member";
  await read();
  byId("add").hidden = !manages;
  byId("no-role").hidden = manages;
  byId("add").addEventListener("submit", add);
  for (const event of ["balance", "again"]) on(event, () => read().catch(showError));
});

async function read() {
  const [now, journal, hooks] = await Promise.all([get("/v1/alerts"), get("/v1/journal", { kind: "alert", limit: LOOKED_AT }), manages && get("/v1/webhooks")]);
  alerts = now;
  last = new Map(journal.data.reverse().map((entry) => [parseFloat(entry.reason), entry])); // "20 % of 3000 reached, 590 left"
  webhooks = hooks ? hooks.data : [];
  draw();
}

function draw() {
  byId("no-plan").hidden = alerts.of !== null;
  const columns = [
    ["Threshold", (share) => (share ? percentOf(share) : "0 %: none left")],
    ["Credits", (share) => (alerts.of === null ? "–" : formatCredits(alerts.of * share)), true],
    ["State", (share) => (alerts.reached.includes(share) ? element("span", { class: "badge warn" }, "reached") : "not reached")],
    manages && ["Last reached", (share) => lastOf(share)],
    ["Event", (share) => element("code", {}, eventOf(share))],
    manages && ["Actions", (share) => actButton("Remove", () => save(alerts.thresholds.filter((other) => other !== share)).catch(showError), `Remove ${percentOf(share)}`)],
  ];
  const table = records(columns.filter(Boolean), alerts.thresholds, "No thresholds: alerts are off.");
  table.setAttribute("aria-label", "Thresholds");
  show(byId("thresholds"), table);
  show(byId("told"), toldOf());
}

function percentOf(share) {
  return `${formatExact(Math.round(share * 1000) / 10)} %`;
}

function eventOf(share) {
  return share ? "credits.low" : "credits.exhausted";
}

function lastOf(share) {
  const entry = last.get(Math.round(share * 1000) / 10);
  return entry ? [time(entry.at), element("span", { class: "hint" }, ` ${withUnit(entry.available_after)} left`)] : "–";
}

/** Which webhooks are told, of which thresholds. */
function toldOf() {
  const events = new Set(alerts.thresholds.map(eventOf));
  const told = webhooks.map((webhook) => [webhook, webhook.events.filter((event) => events.has(event))]).filter(([, heard]) => heard.length);
  const journal = element("p", { class: "hint" }, manages ? "Each is also an entry of the " : "Each is an entry of the account’s journal; admins see which webhooks are told.", manages && element("a", { href: "/journal?kind=alert" }, "journal"), manages && ".");
  if (!manages) return journal;
  if (!told.length) return [element("p", {}, events.size ? `No webhook receives ${[...events].join(" or ")}. ` : "Nothing is reported: there is no threshold. ", element("a", { href: "/webhooks" }, "Webhooks")), journal];
  return [element("ul", { class: "plain stack tight" }, told.map(([{ id, url, status }, heard]) => element("li", { class: "row" }, element("a", { href: `/webhooks?webhook=${id}` }, url), heard.map((event) => element("code", {}, event)), status === "paused" && element("span", { class: "badge warn" }, "paused")))), journal];
}

async function add(event) {
  event.preventDefault();
  byId("problem").textContent = "";
  try {
    await save([...alerts.thresholds, Math.round(byId("percent").value * 10) / 1000]);
    byId("add").reset();
  } catch (error) {
    byId("problem").textContent = error.message;
  }
}

async function save(thresholds) {
  alerts = await call("PUT", "/v1/alerts", { thresholds });
  draw();
  showError(null);
  announce("Saved");
}
