// The audit log's page: who changed what, by account, key, call and date; filters are in the URL.

import { get, withQuery } from "./api.js";
import { counted } from "./amounts.js";
import { actionName, auditTable, operatorKeys } from "./audit.js";
import { announce, byId, element, opened, show, showError } from "./dom.js";
import { startPage } from "./shell.js";

const AT_ONCE = 50;
const ACTIONS = ["grantCredits", "adjustCredits", "refundGenerations", "cancelGenerations", "changeAccountSubscription", "pause", "resume", "createAccountKey", "revokeAccountKey"];

const form = byId("filters");
let keys = new Map();
let entries = [];
let next = null;
let turn = 0;

async function start(scope) {
  keys = await operatorKeys(scope);
  byId("key").append(element("option", { value: "root" }, "root key"), ...[...keys.values()].map(({ id, label, scope }) => element("option", { value: id }, `${label ?? id.slice(0, 12)} (${scope})`)));
  offer(ACTIONS);
  const asked = new URLSearchParams(location.search);
  for (const control of form.elements) {
    const value = asked.get(control.name);
    if (!control.name || value === null) continue;
    // A revoked key is in no list, but in the log.
    if (control.tagName === "SELECT" && ![...control.options].some((option) => option.value === value)) control.append(element("option", { value }, value));
    control.value = value;
  }
  form.addEventListener("change", filter);
  form.addEventListener("reset", () => setTimeout(filter)); // its fields are cleared after this event
  form.addEventListener("submit", (event) => event.preventDefault());
  opened(form);
  byId("older").addEventListener("click", () => read(false).catch(showError));
  await read(true);
}

/** Offer calls in the filter; those that are not in the list are offered once they have been seen. */
function offer(actions) {
  const offered = new Set([...byId("action").options].map(({ value }) => value));
  byId("action").append(...actions.filter((action) => !offered.has(action)).map((action) => element("option", { value: action }, actionName(action))));
}

function filter() {
  const given = Object.fromEntries(new FormData(form));
  history.replaceState(null, "", withQuery(location.pathname, given));
  read(true).catch(showError);
}

async function read(anew) {
  const mine = ++turn;
  const { from, to, ...only } = Object.fromEntries(new FormData(form));
  const day = (date, days = 0) => new Date(Date.parse(`${date}T00:00:00`) + days * 86_400_000).toISOString();
  const page = await get("/v1/admin/audit-log", { ...only, created_after: from && day(from), created_before: to && day(to, 1), limit: AT_ONCE, before: anew ? null : next });
  if (mine !== turn) return;
  showError(null);
  entries = anew ? page.data : [...entries, ...page.data];
  next = page.next;
  offer([...new Set(page.data.map(({ action }) => action))]);
  show(byId("entries"), entries.length ? auditTable(entries, keys) : element("p", { class: "empty" }, next ? "None among the newest entries. Older ones may match." : "Nothing matches."));
  byId("more").hidden = next === null;
  announce(counted(entries.length, "entry", "entries"));
}

await startPage(({ scope }) => start(scope));
