// Pausing and resuming a tool, model, provider or account, with a reason. Loaded when something is pressed.

import { openAct } from "./acts.js";
import { element } from "./dom.js";
import { choice, field } from "./fields.js";

/** Pause it: `{kind, name}`; `done(text)` is called afterwards. */
export function pause(what, done) {
  openAct({
    title: `Pause the ${nameOf(what)}`,
    account: accountOf(what),
    about: `${what.kind === "account" ? "" : "For all accounts. "}What a provider already works on goes on.`,
    fields: [
      field("New generations", choice("new", [["refuse", "Refuse them, with the reason"], ["wait", "Accept them, and let them wait"]], "refuse")),
      field("Until", element("input", { name: "until", type: "datetime-local" }), "Empty: until it is resumed. In your time zone."),
    ],
    note: "For the audit log, and shown to customers: write it for them.",
    verb: "Pause",
    changes: ({ new: treatment }) => [["New generations", "accepted", treatment === "wait" ? "accepted, and wait" : "refused with your reason"], ["Those that wait or are queued", "start", "are held; their time stands still"]],
    send: ({ reason, new: treatment, until }, call) => call("PUT", pathOf(what), { reason, new: treatment, ...(until && { until: new Date(until).toISOString() }) }),
    done: () => done(`Paused the ${nameOf(what)}.`),
  });
}

/** Resume it: with the `reason` of its pause, and how it treated what is `new`. */
export function resume(what, done) {
  openAct({
    title: `Resume the ${nameOf(what)}`,
    account: accountOf(what),
    about: `Paused because: ${what.reason}`,
    verb: "Resume",
    changes: () => [["New generations", what.new === "wait" ? "wait" : "refused", "accepted"], ["Those that wait or are queued", "are held", "start"]],
    send: (_, call) => call("DELETE", pathOf(what)),
    done: () => done(`Resumed the ${nameOf(what)}.`),
  });
}

function nameOf({ kind, name }) {
  return `${kind} ${name}`;
}

function accountOf({ kind, name }) {
  return kind === "account" ? name : undefined;
}

function pathOf({ kind, name }) {
  return kind === "account" ? `/v1/admin/accounts/${encodeURIComponent(name)}/pause` : `/v1/ops/pauses/${kind}/${encodeURIComponent(name)}`;
}
