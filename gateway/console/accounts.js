// The Accounts page, for support: find an account by whatever the customer quotes, see all of it, act on it.

import { get } from "./api.js";
import { counted, formatCredits, formatMoney } from "./amounts.js";
import { auditTable, operatorKeys } from "./audit.js";
import { generationLink, idWithCopy } from "./copying.js";
import { announce, byId, element, icon, retried, show, showError } from "./dom.js";
import { actButton, limitText, may } from "./fields.js";
import { openPause } from "./pauses.js";
import { startPage } from "./shell.js";
import { records } from "./tables.js";
import { formatAgo, formatDay, formatLength, time } from "./times.js";
import { BUCKETS, STATES, costOf, hasEnded } from "./words.js";

const LOGGED = 5;
const SEES_WEBHOOKS = ["support", "admin"];

let shared = null; // what all accounts share: plans, models' names, operators' keys
let turn = 0;

async function start(scope) {
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    find(byId("q").value.trim()).catch(showError);
  });
  addEventListener("popstate", () => openAsked().catch(showError));
  const [plans, card, keys] = await Promise.all([get("/v1/plans"), get("/v1/rate-card"), operatorKeys(scope)]);
  shared = { scope, plans, models: new Map(card.models.map(({ id, name }) => [id, name])), keys };
  await openAsked();
}

/** The actions of an account that the operator's role may take, as buttons. */
function actsOf(account, again) {
  const all = [
    ["credits", "Grant credits", "grant"],
    ["credits", "Adjust", "adjust"],
    ["money", "Change plan", "changePlan"],
    ["all", account.paused ? "Resume" : "Pause", null],
    ["all", "New key", "makeKey"],
    ["all", "Advance the clock", "advance"],
  ];
  const what = { kind: "account", name: account.id, ...account.paused };
  const pausing = () => openPause(account.paused ? "resumeWhat" : "pauseWhat", what, again);
  return all.filter(([what]) => may(shared.scope, what)).map(([, text, act]) => actButton(text, () => (act ? openAct(act, { account, again }) : pausing()).catch(showError)));
}

/** Open an action: their script is loaded when one is pressed. */
async function openAct(act, given) {
  const acts = await retried(() => import("./acts.js"));
  acts[act]({ ...given, shared, path: `/v1/admin/accounts/${encodeURIComponent(given.account.id)}` });
}

/** Open what the address asks for. */
async function openAsked() {
  const asked = new URLSearchParams(location.search);
  const text = asked.get("q") ?? asked.get("account");
  if (text) byId("q").value = text; // what was typed while this page was loading stays
  if (asked.get("account")) await open(asked.get("account"), asked.get("q"));
  else if (asked.get("q")) await find(asked.get("q"));
  else byId("q").focus();
}

async function find(text) {
  byId("nothing").textContent = "";
  byId("done").hidden = true;
  if (text.startsWith("fbx_")) {
    byId("nothing").textContent = "This is an API key itself, which nobody should send. Search for its id (key_…), and revoke it if others have seen it.";
    return;
  }
  const { data } = await get("/v1/admin/search", { q: text });
  showError(null);
  const owners = [...new Set(data.map(({ account }) => account))];
  if (owners.length === 1 && owners[0]) {
    history.pushState(null, "", `?${new URLSearchParams({ account: owners[0], ...(text !== owners[0] && { q: text }) })}`);
    await open(owners[0], text);
    return;
  }
  show(byId("account"));
  const links = data.map(({ kind, account }) => [`${kind} of `, account ? element("a", { href: `?${new URLSearchParams({ account })}` }, account) : "an operator", ". "]);
  const used = text.startsWith("key_") && element("a", { href: `/audit-log?key=${text}` }, "What the key was used for");
  show(byId("nothing"), links.length ? links : "Nothing has this id or email. Only whole ids and emails are found. ", used);
}

/** Show an account; `quoted` is what it was found by. */
async function open(id, quoted) {
  const mine = ++turn;
  byId("account").setAttribute("aria-busy", "true");
  try {
    const of = { account: id };
    const [account, working, purchases, webhooks, log, members] = await Promise.all([
      get(`/v1/admin/accounts/${encodeURIComponent(id)}`),
      get("/v1/ops/generations", { ...of, limit: 100 }),
      get("/v1/purchases", of),
      SEES_WEBHOOKS.includes(shared.scope) ? get("/v1/webhooks", of) : null,
      get("/v1/admin/audit-log", { ...of, limit: LOGGED }),
      get(`/v1/admin/accounts/${encodeURIComponent(id)}/members`),
    ]);
    if (mine !== turn) return;
    showError(null);
    draw({ account, working, purchases, webhooks, log, members: members.data, quoted });
    announce(`Account ${id}`);
  } catch (error) {
    if (mine !== turn) return;
    show(byId("account"));
    throw error;
  } finally {
    if (mine === turn) byId("account").removeAttribute("aria-busy");
  }
}

function draw(shown) {
  const { account } = shown;
  const again = async (text) => {
    await open(account.id, shown.quoted);
    return text;
  };
  show(
    byId("account"),
    headOf(account, again),
    tilesOf(account),
    panel("Open generations", openOf(shown), `/work?${new URLSearchParams({ account: account.id })}`),
    panel("Latest generations", latestOf(shown, again)),
    journalOf(account),
    panel("Grants", grantsOf(account)),
    shown.members.length > 0 && panel("Members", membersOf(shown)),
    panel("Keys", keysOf(shown, again)),
    panel("Purchases", purchasesOf(shown)),
    shown.webhooks && panel("Webhooks", webhooksOf(shown)),
    panel("Audit log", auditOf(shown), `/audit-log?${new URLSearchParams({ account: account.id })}`),
  );
}

function journalOf(account) {
  const place = element("div", {});
  const loading = retried(() => import("./account-journal.js")); // a module of its own, so that the page is there before it
  loading.then(({ Journal }) => show(place, new Journal(account).root), showError);
  return place;
}

function panel(title, body, all) {
  const id = `${title.toLowerCase().replaceAll(" ", "-")}-heading`;
  const heading = element("h2", { id }, title);
  return element("section", { class: "panel flush" }, all ? element("div", { class: "row apart heading" }, heading, element("a", { class: "small", href: all, "aria-label": `All: ${title}` }, "All")) : heading, element("div", { class: "scroll", tabindex: 0, role: "region", "aria-labelledby": id }, body));
}

// --- who it is --------------------------------------------------------------------------------------------------------

function planName(id) {
  return shared.plans.data.find((plan) => plan.id === id)?.name ?? (id === "free" ? "Free" : id);
}

function planText({ plan }) {
  const parts = [planName(plan.id)];
  if (plan.interval) parts.push(`, ${plan.interval}`);
  if (plan.status === "cancelled") parts.push(`, ends ${plan.paid_through ? formatDay(plan.paid_through) : "with the period"}`);
  else if (plan.scheduled) parts.push(`; ${planName(plan.scheduled.plan)} from ${plan.scheduled.at ? formatDay(plan.scheduled.at) : "the next period"}`);
  else if (plan.paid_through) parts.push(`, paid through ${formatDay(plan.paid_through)}`);
  return parts.join("");
}

function headOf(account, again) {
  const { clock, paused } = account;
  const counts = (work) => Object.entries(work).filter(([, count]) => count).map(([tool, count]) => `${count} ${tool}`).join(", ") || "none";
  const facts = [
    ["Account", idWithCopy(account.id, "the account’s id")],
    ["Email", account.email ? idWithCopy(account.email, "the email") : "none"],
    ["Plan", planText(account.balance)],
    ["Created", time(account.created_at, formatDay(account.created_at))],
    ["In work", counts(account.in_work)],
    ["Waiting", counts(account.waiting)],
    account.balance.debt > 0 && ["Debt", `${formatCredits(account.balance.debt)} credits`],
  ];
  return element(
    "section",
    { class: "panel stack", "aria-labelledby": "account-heading" },
    element("div", { class: "row" }, element("h2", { id: "account-heading", tabindex: -1 }, account.email ?? account.id), account.test && element("span", { class: "badge warn" }, icon("clock"), `test clock +${formatLength(clock.offset_seconds * 1000)}: ${formatDay(clock.now)}`), paused && element("span", { class: "badge bad" }, icon("cancel"), "paused")),
    paused && element("p", { class: "small" }, `Paused ${formatAgo(paused.since)}: ${paused.reason}`),
    element("dl", { class: "facts" }, facts.filter(Boolean).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))),
    element("p", { class: "row" }, actsOf(account, again)),
  );
}

function tilesOf({ balance }) {
  const { free, subscription, top_up: topUp } = balance.buckets;
  const tile = (name, figure, note) => element("dl", { class: "tile" }, element("dt", {}, name), element("dd", { class: "figure" }, formatCredits(figure)), element("dd", { class: "note" }, note));
  return element(
    "section",
    { class: "tiles", "aria-label": "Balances" },
    tile("Available", balance.available, balance.held ? `${formatCredits(balance.held)} held` : "nothing held"),
    tile("Free", free.available, ["resets ", time(free.resets_at)]),
    tile("Subscription", subscription.available, subscription.refreshes_at ? [`of ${formatCredits(subscription.of)}, refreshes `, time(subscription.refreshes_at, formatDay(subscription.refreshes_at))] : lastingOf(balance, "subscription", "no subscription")),
    tile("Top-up", topUp.available, lastingOf(balance, "top_up", "never expires")),
  );
}

/** When the first credits of a bucket's grants expire: an operator's grants may, in any bucket. */
function lastingOf({ grants }, bucket, none) {
  const own = grants.filter((one) => one.bucket === bucket && one.available > 0);
  const [first] = own.flatMap(({ expires_at: at }) => at ?? []).sort();
  return first ? ["the first expire ", time(first, formatDay(first))] : own.length ? "never expires" : none;
}

// --- what it has ------------------------------------------------------------------------------------------------------

function grantsOf({ balance }) {
  const columns = [
    ["Bucket", (one) => [BUCKETS[one.bucket], hint(`${one.kind}, ${one.id}`)]],
    ["Available", (one) => formatCredits(one.available), true],
    ["Held", (one) => formatCredits(one.held), true],
    ["Granted", (one) => formatCredits(one.granted), true],
    ["Expires", (one) => (one.expires_at ? time(one.expires_at) : "never")],
  ];
  return records(columns, balance.grants, "No grants.");
}

function hint(...content) {
  return element("div", { class: "hint" }, content);
}

/** The row of what was searched for. */
function marked(quoted) {
  return ({ id }) => ({ class: quoted === id && "found" });
}

function modelOf({ model }) {
  return shared.models.get(model) ?? model;
}

function openOf({ working, quoted }) {
  const columns = [
    ["Generation", ({ id }) => generationLink(id)],
    ["Model", modelOf],
    ["State", ({ status }) => STATES[status]],
    ["Age", (one) => formatLength(one.age_seconds * 1000)],
    ["Ends at the latest", ({ gives_up_at: at }) => (at ? time(at) : "–")],
    ["Held", ({ held }) => formatCredits(held), true],
  ];
  return records(columns, working.data, "Nothing is open.", marked(quoted));
}

/** Refund a generation that was charged. */
function refundButton(account, one, again) {
  const { committed, given_back: back } = one.credits;
  const open = async () => {
    const { openBulk } = await retried(() => import("./acts.js"));
    openBulk("refund", { generations: [one.id], account: account.id }, { title: `Refund ${one.id}`, one: { credits: committed }, account: account.id, done: again });
  };
  return committed > 0 && !back && hasEnded(one) && may(shared.scope, "credits") && actButton("Refund", () => open().catch(showError), `Refund ${one.id}`);
}

function latestOf({ account, quoted }, again) {
  const columns = [
    ["Generation", ({ id }) => generationLink(id)],
    ["When", (one) => time(one.created_at)],
    ["Model", modelOf],
    ["State", ({ status, error }) => [STATES[status], error && hint(error.code)]],
    ["Cost", costOf],
    ["Actions", (one) => refundButton(account, one, again)],
  ];
  return records(columns, account.generations, "None.", marked(quoted));
}

function limitOf({ limit, limit_remaining: left }) {
  return `${limitText(limit)}${limit && left !== undefined ? `, ${formatCredits(left)} left` : ""}`;
}

function membersOf({ members, account, quoted }) {
  const columns = [
    ["Member", (one) => [one.name, hint(element("code", {}, one.id))]],
    ["Role", (one) => (one.removed_at ? ["removed ", time(one.removed_at, formatDay(one.removed_at))] : one.role)],
    ["Email", ({ email }) => email ?? "–"],
    ["Keys", ({ id }) => account.keys.filter((key) => key.member === id).length, true],
    ["This month", (one) => formatCredits(one.usage_monthly), true],
    ["Limit", limitOf],
  ];
  return records(columns, members, "", marked(quoted));
}

function keysOf({ account, members, quoted }, again) {
  const nameOf = (id) => members.find((one) => one.id === id)?.name ?? id;
  const columns = [
    ["Key", (key) => [key.label ?? "(no label)", key.member && element("span", { class: "quiet-text" }, ` · ${nameOf(key.member)}`), hint(element("code", {}, key.id))]],
    ["Created", (key) => time(key.created_at, formatDay(key.created_at))],
    ["Last used", ({ last_used_at: at }) => (at ? time(at, formatAgo(at)) : "never")],
    ["Limit", limitOf],
    ["Expires", ({ expires_at: at }) => (at ? time(at) : "never")],
    ["Actions", (key) => may(shared.scope, "all") && actButton("Revoke", () => openAct("revokeKey", { account, key, again }).catch(showError), `Revoke ${key.label ?? key.id}`)],
  ];
  return records(columns, account.keys, "No keys.", marked(quoted));
}

function purchasesOf({ purchases, quoted }) {
  const columns = [
    ["Purchase", (one) => [one.name, hint(element("code", {}, one.id))]],
    ["When", (one) => time(one.created_at)],
    ["State", ({ status }) => status],
    ["Price", ({ price }) => formatMoney(price)],
    ["Refunded", (one) => (one.refunded ? `${formatMoney(one.refunded)}, ${formatCredits(one.taken_back)} credits taken back` : "–")],
  ];
  return records(columns, purchases.data, "None.", marked(quoted));
}

function webhooksOf({ webhooks }) {
  const columns = [
    ["Webhook", ({ url }) => url],
    ["State", (one) => [one.status, one.failing_since && element("div", { class: "bad-text small" }, "failing since ", time(one.failing_since))]],
    ["Events", ({ events }) => counted(events.length, "event")],
    ["Last delivered", ({ delivered_at: at }) => (at ? time(at) : "never")],
  ];
  return records(columns, webhooks.data, "None.");
}

function auditOf({ log }) {
  return log.data.length ? auditTable(log.data, shared.keys, { account: false }) : element("p", { class: "quiet-text heading" }, "No operator has changed anything here.");
}

await startPage(({ scope }) => start(scope));
