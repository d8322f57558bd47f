// The Webhooks page: each webhook's URL, events and state, and its deliveries.

import { call, get, newKey, post } from "./api.js";
import { counted } from "./amounts.js";
import { Deliveries } from "./deliveries.js";
import { openDialog } from "./dialog.js";
import { announce, byId, element, icon, show, showError } from "./dom.js";
import { session, startPage } from "./shell.js";
import { formatAgo, time } from "./times.js";
import { confirmDeletion, confirmRotation, openSecret, openWebhook } from "./webhook-dialogs.js";

const DEFAULT = "default"; // tells the `webhook_url` of each request: an account has it from the start
const WHY = {
  failing: "Paused because no delivery succeeded for a day. Events are kept: resume it once your receiver works again.",
  gone: "Paused because the receiver responded with 410 Gone.",
  asked: "Paused manually. Events are kept until it is resumed.",
};

let webhooks = [];
const deliveries = new Deliveries();

async function start({ scope }) {
  const reads = scope === "account" || scope === "admin";
  byId("no-key").hidden = reads;
  if (!reads) return;
  byId("webhooks").hidden = false;
  byId("whose").textContent = scope === "admin" ? "The operators' webhooks: they receive the events of every account." : "This account's events are delivered to these URLs: signed, and at least once.";
  byId("actions").append(element("button", { type: "button", id: "create", onclick: create }, "New webhook"));
  byId("refresh").addEventListener("click", () => refresh().catch(showError));
  await readAll(scope);
  const asked = new URLSearchParams(location.search).get("webhook");
  const found = webhooks.find(({ id }) => id === asked);
  if (found) await choose(found);
}

async function readAll(scope) {
  const [{ data }, own] = await Promise.all([get("/v1/webhooks"), scope === "account" && get(`/v1/webhooks/${DEFAULT}`)]);
  webhooks = own ? [...data, own] : data;
  draw();
}

async function refresh() {
  await deliveries.read();
  await readAll((await session).scope); // after them: a webhook that fails is not shown as active beside a failed delivery
  showError(null);
  announce("Up to date");
}

/** Replace a webhook's row by its current state from the API. */
function take(webhook) {
  const known = webhooks.findIndex(({ id }) => id === webhook.id);
  if (known >= 0) webhooks[known] = webhook;
  else webhooks.splice(webhooks.findLastIndex(({ id }) => id !== DEFAULT) + 1, 0, webhook);
  draw();
}

function draw() {
  deliveries.know(webhooks.find(({ id }) => id === deliveries.webhook?.id));
  byId("empty").hidden = webhooks.some(({ id }) => id !== DEFAULT);
  show(byId("endpoints"), webhooks.map(panelOf));
}

function nameOf({ url }) {
  return url ?? "Each request’s own URL";
}

function panelOf(webhook) {
  const { id, url, events, description, dropped } = webhook;
  const chosen = id === deliveries.webhook?.id;
  return element(
    "section",
    { class: chosen ? "panel stack tight chosen" : "panel stack tight", "aria-labelledby": `${id}-name`, id },
    element("div", { class: "row apart" }, element("h2", { id: `${id}-name` }, nameOf(webhook)), badgeOf(webhook)),
    description && element("p", {}, description),
    url ? element("p", { class: "hint row" }, events.map((event) => element("code", {}, event))) : element("p", { class: "hint" }, "Requests with their own webhook_url deliver there. Create a secret here to verify the signatures."),
    webhook.paused_because && element("p", { class: "small" }, WHY[webhook.paused_because]),
    element("p", { class: "hint row" }, factsOf(webhook)),
    dropped > 0 && element("p", { class: "small bad-text" }, `${counted(dropped, "event")} dropped: too many were waiting.`),
    element("p", { class: "row" }, buttonsOf(webhook)),
  );
}

function badgeOf({ url, status, failing_since: failing }) {
  if (status === "paused") return element("span", { class: "badge warn" }, icon("cancel"), "paused");
  if (failing) return element("span", { class: "badge bad" }, icon("warning"), "failing");
  return url && element("span", { class: "badge good" }, icon("check"), "active");
}

function factsOf(webhook) {
  const facts = { Created: webhook.created_at, "Secret rotated": webhook.secret_rotated_at, "Last delivered": webhook.delivered_at, "Failing since": webhook.failing_since, "Paused since": webhook.paused_at };
  const known = Object.entries(facts).filter(([, at]) => at);
  return known.map(([name, at]) => element("span", {}, `${name} `, time(at, name.endsWith("since") ? undefined : formatAgo(at))));
}

function buttonsOf(webhook) {
  const button = (text, act) => element("button", { type: "button", class: "small", "aria-label": `${text}: ${nameOf(webhook)}`, onclick: act }, text);
  const moved = webhook.status === "paused" ? ["Resume", "active"] : ["Pause", "paused"];
  return [
    button("Deliveries", () => choose(webhook, { focus: true }).catch(showError)),
    webhook.url && button("Send a test event", () => test(webhook).catch(showError)),
    webhook.url && button("Edit", () => openWebhook(webhook, (body) => change(webhook, body, "Saved"))),
    button("New secret", () => confirmRotation(nameOf(webhook), () => rotate(webhook))),
    webhook.url && button(moved[0], () => change(webhook, { status: moved[1] }, `${moved[0]}d`).then((focus) => focus(), showError)),
    webhook.url && button("Delete", () => confirmDeletion(nameOf(webhook), () => remove(webhook))),
  ];
}

// --- actions -------------------------------------------------------------------------------------------------

function create() {
  openWebhook(null, async (body) => {
    const { secret, ...made } = await post("/v1/webhooks", body, { once: newKey() });
    take(made);
    return () => openSecret(secret);
  });
}

async function change({ id }, body, said) {
  take(await call("PATCH", `/v1/webhooks/${id}`, body));
  showError(null);
  announce(said);
  return () => byId(id).querySelector("button").focus(); // the one that was pressed is drawn anew
}

/** Send a test event and say what the receiver answered. */
async function test({ id, url }) {
  announce("Sending a test event");
  const { delivered, message, event, duration_ms: duration } = await post(`/v1/webhooks/${id}/test`);
  showError(null);
  openDialog(delivered ? "The test event arrived" : "The test event did not arrive", [
    element("p", { class: "mono" }, url),
    element("p", { class: delivered ? "good-text" : "bad-text" }, message),
    element("p", { class: "hint" }, `After ${duration} ms, as `, element("code", {}, event), ", signed as all events are. It is in no list of deliveries."),
  ]);
}

async function rotate({ id }) {
  const { secret, ...webhook } = await post(`/v1/webhooks/${id}/rotate`, undefined, { once: newKey() });
  take(webhook);
  return () => openSecret(secret);
}

async function remove({ id }) {
  await call("DELETE", `/v1/webhooks/${id}`);
  webhooks = webhooks.filter((webhook) => webhook.id !== id);
  if (deliveries.webhook?.id === id) choose(null);
  draw();
  announce("Deleted");
  return () => byId("create").focus();
}

/** Show this one's deliveries; null: none. */
async function choose(webhook, { focus = false } = {}) {
  history.replaceState(null, "", webhook ? `?webhook=${webhook.id}` : location.pathname);
  const read = deliveries.show(webhook, webhook && nameOf(webhook));
  draw();
  await read;
  if (focus) byId("deliveries-heading").focus();
}

await startPage(start);
