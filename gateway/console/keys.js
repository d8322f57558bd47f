// The Keys page: the account's API keys, what each may do and has spent; made, changed, rotated, revoked.

import { call, get, post } from "./api.js";
import { formatCredits } from "./amounts.js";
import { idWithCopy, openOnce } from "./copying.js";
import { announce, byId, element, show, showError } from "./dom.js";
import { actButton, choice, field, limitText } from "./fields.js";
import { limitFields, limitOf, openForm } from "./forms.js";
import { on } from "./live.js";
import { startPage } from "./shell.js";
import { amountHead, line, noLines, plainCell, table } from "./tables.js";
import { formatAgo, formatDay, time } from "./times.js";

const MANAGERS = ["admin", "owner"];
const OVERLAPS = [["86400", "24 hours"], ["0", "no time"], ["604800", "7 days"]];
const LOST = "The answer with the key was lost. Revoke it and make another.";

let own = null;
let card = null;
let keys = [];
let members = [];

await startPage(start);

async function start() {
  card = await get("/v1/rate-card");
  await read();
  byId("no-role").hidden = manages();
  if (manages()) byId("actions").append(element("button", { type: "button", class: "primary", onclick: () => edit(null) }, "New key"));
  on("again", () => read().catch(showError));
}

/** Whether this key's owner may manage keys: an account's own key may not, or a leaked one could make others. */
function manages() {
  return MANAGERS.includes(own.role);
}

async function read() {
  const [mine, listed, people, used] = await Promise.all([get("/v1/key"), get("/v1/keys"), get("/v1/members").catch(() => ({ data: [] })), get("/v1/usage", { group_by: "key" }).catch(() => ({ data: [] }))]);
  own = mine;
  keys = listed.data;
  members = people.data.filter(({ removed_at: removed }) => !removed);
  draw(new Map(used.data.map(({ key, credits }) => [key, credits])));
}

function draw(spent) {
  const heads = ["Key", "Actions", "Created", "Last used", "Limit", amountHead("Spent in 30 days"), "Only for", "Expires"]; // the actions are seen on a tablet, too
  const rows = keys.map((key) => line([element("div", {}, key.label ?? "(no label)", " ", key.id === own.id && element("span", { class: "badge" }, "this session")), idWithCopy(key.id)], cellsOf(key, spent)));
  show(byId("keys"), table(heads, rows.length ? rows : noLines(heads.length, "No keys."), { cards: true, "aria-label": "API keys" }));
}

function cellsOf(key, spent) {
  const member = members.find(({ id }) => id === key.member);
  const bound = [member?.name, ...(key.tools ?? []), ...(key.models ?? []), ...(key.networks ?? [])].filter(Boolean).join(", ");
  const name = key.label ?? key.id;
  return [
    plainCell(manages() && element("span", { class: "row" }, actButton("Edit", () => edit(key), `Edit: ${name}`), actButton("Rotate", () => rotate(key), `Rotate: ${name}`), actButton("Revoke", () => revoke(key), `Revoke: ${name}`))),
    plainCell(time(key.created_at, formatDay(key.created_at))),
    plainCell(key.last_used_at ? time(key.last_used_at, formatAgo(key.last_used_at)) : "never"),
    plainCell(limitText(key.limit)),
    formatCredits(spent.get(key.id) ?? 0),
    plainCell(bound || "everything"),
    plainCell(key.expires_at ? time(key.expires_at) : "never"),
  ];
}

function edit(key) {
  const several = (name, options, chosen) => element("select", { id: `key-${name}`, name, multiple: true, size: 4 }, options.map(({ id, name: text }) => element("option", { value: id, selected: chosen?.includes(id) }, text)));
  const models = several("models", card.models, key?.models);
  const tools = several("tools", card.tools, key?.tools);
  openForm({
    title: key ? `Edit ${key.label ?? "the key"}` : "New key",
    fields: [
      field("Label", element("input", { name: "label", maxlength: 100, value: key?.label, autocomplete: "off", required: Boolean(key?.label), placeholder: "shop" })),
      !key && members.length > 0 && field("Whose", choice("member", [["", "the account’s own"], ...members.map(({ id, name }) => [id, name])], own.member ?? "")),
      limitFields(key?.limit),
      element("details", {}, element("summary", {}, "What it may be used for"), element("div", { class: "stack below" }, field("Tools (none chosen: all)", tools), field("Models (none chosen: all)", models), field("Networks, separated by spaces (empty: all)", element("input", { name: "networks", value: key?.networks?.join(" "), placeholder: "203.0.113.0/24", autocomplete: "off", spellcheck: "false" })), field("Expires (empty: never)", element("input", { name: "expires", type: "datetime-local", value: key?.expires_at ? localOf(key.expires_at) : "" })))),
    ],
    verb: key ? "Save" : "Create the key",
    send: async (values, once) => {
      const chosen = (select) => [...select.selectedOptions].map(({ value }) => value);
      const orNull = (list) => (list.length ? list : null);
      const body = { ...(values.label && { label: values.label }), limit: limitOf(values), tools: orNull(chosen(tools)), models: orNull(chosen(models)), networks: orNull(values.networks.split(/[\s,]+/).filter(Boolean)), expires_at: values.expires ? new Date(values.expires).toISOString() : null };
      if (key) await call("PATCH", `/v1/keys/${key.id}`, body);
      const made = !key && (await post("/v1/keys", { ...body, ...("member" in values && { member: values.member || null }) }, { once }));
      await read();
      return () => made && openOnce("The new key", "Copy it now: it is not shown again.", made.key, LOST);
    },
  });
}

function rotate(key) {
  openForm({
    title: `Rotate ${key.label ?? "the key"}`,
    about: "A new key takes over its label, limit and bounds.",
    fields: [field("The old key stays valid for", choice("overlap", OVERLAPS, "86400"))],
    verb: "Create the new key",
    send: async ({ overlap }, once) => {
      const made = await post(`/v1/keys/${key.id}/rotate`, { overlap_seconds: Number(overlap) }, { once });
      await read();
      return () => openOnce("The new key", "Copy it now: it is not shown again.", made.key, LOST);
    },
  });
}

function revoke(key) {
  openForm({
    title: `Revoke ${key.label ?? "the key"}?`,
    about: key.id === own.id ? "This browser is signed in with it: you will be signed out." : "Programs that use it are refused at once.",
    verb: "Revoke the key",
    send: async () => {
      await call("DELETE", `/v1/keys/${key.id}`);
      announce("Revoked");
      await read();
    },
  });
}

/** A moment as a datetime-local field has it. */
function localOf(at) {
  const moment = new Date(at);
  return new Date(moment - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
