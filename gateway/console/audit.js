// Entries of the audit log: who did what, before → after.

import { get } from "./api.js";
import { element } from "./dom.js";
import { records } from "./tables.js";
import { formatTime, time } from "./times.js";

const SHOWN_CHARACTERS = 12;
const CHANGES_SHOWN = 5;
const TIME = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;

/** The entries as a table. `keys`: operators' keys by id, for their labels; `account: false` leaves the account out. */
export function auditTable(entries, keys, { account = true } = {}) {
  const columns = [
    ["What", (entry) => [actionName(entry.action), outcomeOf(entry)]],
    ["When", (entry) => time(entry.created_at)],
    ["Who", (entry) => whoOf(entry, keys)],
    account && ["About", ({ account: of, subject }) => (of ? accountLink(of) : subject ? shortened(subject) : "–")],
    ["Before → after", changesOf],
    ["Reason", ({ reason }) => reason ?? "–"],
  ];
  return records(columns.filter(Boolean), entries);
}

/** Operators' keys by id, for who may read them. */
export async function operatorKeys(scope) {
  const { data } = scope === "admin" ? await get("/v1/admin/keys") : { data: [] };
  return new Map(data.map((key) => [key.id, key]));
}

/** A link to an account's page. */
export function accountLink(account) {
  return element("a", { href: `/accounts?${new URLSearchParams({ account })}` }, account);
}

/** The name of a call: grantCredits → "Grant credits". */
export function actionName(action) {
  const words = action.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return words[0].toUpperCase() + words.slice(1);
}

function outcomeOf({ status, replayed }) {
  if (replayed) return element("div", { class: "hint" }, "repeated, changed nothing");
  if (status === null) return element("div", { class: "bad-text small" }, "outcome unknown");
  return status >= 400 && element("div", { class: "bad-text small" }, `refused: ${status}`);
}

function whoOf({ key, role, address }, keys) {
  const known = keys.get(key);
  return [known?.label ?? (key === "root" ? "root key" : shortened(key)), element("div", { class: "hint" }, [role, address].filter(Boolean).join(", "))];
}

/** An id's beginning; a name as it is. */
function shortened(id) {
  return id.length > 2 * SHOWN_CHARACTERS ? element("code", { title: id }, `${id.slice(0, SHOWN_CHARACTERS)}…`) : id;
}

function changesOf({ before, after, status }) {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  if (!names.length || after === null) return status !== null && status < 400 && !names.length ? "nothing changed" : "–";
  const items = names.map((name) => element("li", {}, `${fieldName(name)} `, element("span", { class: "number" }, valueOf(before?.[name]), " → ", element("strong", {}, valueOf(after[name])))));
  const more = items.splice(CHANGES_SHOWN);
  return [element("ul", { class: "plain small" }, items), more.length > 0 && element("details", { class: "small" }, element("summary", {}, `${more.length} more`), element("ul", { class: "plain" }, more))];
}

function fieldName(name) {
  const words = name.split(".").filter((part) => part !== "balance" && part !== "buckets");
  return words.map((part) => (part.startsWith("key_") ? `${part.slice(0, SHOWN_CHARACTERS)}…` : part.replaceAll("_", " "))).join(" ");
}

function valueOf(value) {
  if (value === undefined || value === null || value === "") return "–";
  if (typeof value === "number") return value.toLocaleString("en-US", { maximumFractionDigits: 3 });
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "string") return JSON.stringify(value);
  return TIME.test(value) ? formatTime(value) : value;
}
