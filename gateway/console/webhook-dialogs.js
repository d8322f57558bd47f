// The dialogs of the Webhooks page: create or edit one, its secret, and confirmations before something is lost.

import { openOnce } from "./copying.js";
import { openDialog } from "./dialog.js";
import { element } from "./dom.js";
import { field } from "./fields.js";
import { openForm } from "./forms.js";

const EVENTS = [
  "generation.running",
  "generation.succeeded",
  "generation.failed",
  "generation.cancelled",
  "credits.low",
  "credits.exhausted",
  "top_up.paid",
  "subscription.changed",
];
const FIRST = ["generation.succeeded", "generation.failed", "generation.cancelled"];

/**
 * The form of a new webhook (null) or an existing one. If `send(body)` throws, the error is shown and can be corrected.
 * The function it returns is called once the dialog is closed; the same applies to the other dialogs here.
 */
export function openWebhook(webhook, send) {
  const chosen = webhook?.events ?? FIRST;
  const check = (event) => element("label", { class: "check" }, element("input", { type: "checkbox", name: "events", value: event, checked: chosen.includes(event) }), element("code", {}, event));
  const checks = EVENTS.map(check);
  openForm({
    title: webhook ? "Edit the webhook" : "New webhook",
    fields: [
      field("Public https: URL", element("input", { name: "url", type: "url", required: true, maxlength: 2000, placeholder: "https://example.com/farebox", value: webhook?.url, autocomplete: "off" })),
      field("Description (for your own use)", element("input", { name: "description", maxlength: 200, value: webhook?.description, autocomplete: "off" })),
      element("fieldset", {}, element("legend", { class: "label" }, "Events"), checks),
    ],
    verb: webhook ? "Save" : "Create",
    send: (values) => {
      const events = checks.map(({ firstChild: box }) => box.checked && box.value).filter(Boolean);
      if (!events.length) throw new Error("Choose at least one event.");
      return send({ ...values, events });
    },
  });
}

/** Show a new secret, which is visible only once. Without one, the response that contained it was lost. */
export function openSecret(secret) {
  openOnce("The webhook's secret", "It is shown only this once. Your backend needs it to verify signatures.", secret, "The response with the secret did not arrive, and it is only shown once. Create a new secret.");
}

/** Show a delivery's call: what is sent, as it would be signed now. */
export function openRequest({ url, headers, body }) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\n`);
  openDialog("The request", [
    element("p", { class: "mono" }, `POST ${url}`),
    element("div", { class: "repeat" }, element("pre", { tabindex: 0 }, lines), element("pre", { tabindex: 0 }, JSON.stringify(JSON.parse(body), null, 2))),
    element("p", { class: "hint" }, "As it would be sent now; the body is sent and signed without these spaces and line breaks."),
  ]);
}

/** Confirm before the secret in use is replaced. */
export function confirmRotation(name, act) {
  confirm("Create a new secret?", name, "It is shown once. The current secret stays valid for 24 hours; any older one is disabled now.", "Create a new secret", act);
}

/** Confirm before a webhook is deleted with all its data. */
export function confirmDeletion(name, act) {
  confirm("Delete the webhook?", name, "No further events are delivered, including pending ones, and its delivery history is deleted.", "Delete it", act);
}

function confirm(title, name, about, verb, send) {
  openForm({ title, about, fields: [element("p", { class: "mono" }, name)], verb, keep: "Keep it", send });
}
