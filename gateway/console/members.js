// The Members page: who spends the account's credits, as what, up to how much; invited by a link, changed, removed.

import { call, get, newKey, post } from "./api.js";
import { formatCredits } from "./amounts.js";
import { openOnce } from "./copying.js";
import { announce, byId, element, show, showError } from "./dom.js";
import { actButton, choice, field, limitText } from "./fields.js";
import { limitFields, limitOf, openForm } from "./forms.js";
import { on } from "./live.js";
import { startPage } from "./shell.js";
import { amountHead, line, noLines, plainCell, table } from "./tables.js";
import { formatDay, time } from "./times.js";

const ROLES = [["member", "Member"], ["admin", "Admin"]];

let manages = false;

await startPage(async () => {
  const { role } = await get("/v1/key");
  manages = role === "admin" || role === "owner";
  byId("no-role").hidden = manages;
  if (role === "member") return byId("members").parentElement.remove(); // who may not see the others
  await read();
  if (manages) byId("actions").append(element("button", { type: "button", class: "primary", onclick: () => edit(null) }, "Add a member"));
  on("again", () => read().catch(showError));
});

async function read() {
  const { data } = await get("/v1/members");
  const heads = ["Member", "Role", "Limit", amountHead("This month"), amountHead("In all"), "Since", "Actions"];
  show(byId("members"), table(heads, data.length ? data.map(rowOf) : noLines(heads.length, "No members: all keys are the account’s own."), { cards: true, "aria-label": "Members" }));
}

function rowOf(member) {
  const left = member.limit && ` (${formatCredits(member.limit_remaining)} left)`;
  const acts = [["Invite link", invite], ["Edit", edit], member.role !== "owner" && ["Make owner", handOver], member.role !== "owner" && ["Remove", remove]];
  return line(
    [member.name, member.email && element("div", { class: "hint" }, member.email)],
    [
      plainCell(member.removed_at ? element("span", { class: "badge warn" }, "removed") : member.role),
      plainCell(limitText(member.limit), left),
      formatCredits(member.usage_monthly),
      formatCredits(member.usage),
      plainCell(time(member.created_at, formatDay(member.created_at))),
      plainCell(manages && !member.removed_at && element("span", { class: "row" }, acts.filter(Boolean).map(([text, act]) => actButton(text, () => act(member), `${text}: ${member.name}`)))),
    ],
  );
}

function edit(member) {
  openForm({
    title: member ? `Edit ${member.name}` : "Add a member",
    fields: [
      field("Name", element("input", { name: "name", required: true, maxlength: 100, value: member?.name, autocomplete: "off" })),
      field("Email (optional)", element("input", { name: "email", type: "email", value: member?.email, autocomplete: "off" })),
      member?.role !== "owner" && field("Role", choice("role", ROLES, member?.role ?? "member")),
      limitFields(member?.limit),
    ],
    verb: member ? "Save" : "Add",
    send: async (values, once) => {
      const body = { name: values.name, email: values.email || null, ...(values.role && { role: values.role }), limit: limitOf(values) };
      const made = member ? await call("PATCH", `/v1/members/${member.id}`, body) : await post("/v1/members", body, { once });
      await read();
      return () => !member && invite(made);
    },
  });
}

/** A link that signs in with a new key of the member, which is made for it. */
function invite(member) {
  openForm({
    title: `Invite ${member.name}`,
    about: "Creates a key for this member, and a link that signs a browser in with it, once, within an hour.",
    fields: [field("Label of the key", element("input", { name: "label", required: true, maxlength: 100, value: "console", autocomplete: "off" }))],
    verb: "Create the link",
    send: async ({ label }, once) => {
      const { key } = await post("/v1/keys", { label, member: member.id }, { once });
      const link = key && (await call("POST", "/v1/sign-in-links", {}, { headers: { Authorization: `Bearer ${key}`, "Idempotency-Key": newKey() } }));
      return () => openOnce("The invitation", `Send this link to ${member.name}. It works once, within an hour.`, link?.url, "The answer was lost. Invite again.");
    },
  });
}

function handOver(member) {
  openForm({
    title: `Make ${member.name} the owner?`,
    about: "You become an admin.",
    verb: "Hand over",
    send: async () => {
      await post(`/v1/members/${member.id}/owner`, undefined, { once: newKey() });
      await read();
    },
  });
}

function remove(member) {
  openForm({
    title: `Remove ${member.name}?`,
    about: "Their keys are revoked at once; their history stays.",
    verb: "Remove",
    send: async () => {
      await call("DELETE", `/v1/members/${member.id}`);
      announce("Removed");
      await read();
    },
  });
}
