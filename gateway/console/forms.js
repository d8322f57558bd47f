// Forms in dialogs: a change to make, what it needs, and what is wrong with it.

import { newKey } from "./api.js";
import { openDialog } from "./dialog.js";
import { element } from "./dom.js";
import { PERIODS } from "./fields.js";

/**
 * Open a form. `send(values, once)` gets the fields' values, trimmed, and an Idempotency-Key that stays the same while
 * nothing is changed; if it throws, the error is shown and can be corrected. What it returns is called once the dialog
 * is closed; with `false`, it stays open. `about` is shown above the fields; `keep` closes the dialog. Returns the form.
 */
export function openForm({ title, about, fields = [], verb, keep = "Cancel", send }) {
  const wrong = element("p", { class: "wrong", role: "alert" });
  const go = element("button", { class: "primary" }, verb);
  const form = element("form", { class: "stack" }, about && element("p", {}, about), fields, wrong, element("p", { class: "row" }, go, element("button", { type: "button", onclick: () => dialog.close() }, keep)));
  const dialog = openDialog(title, form);
  let once = newKey();
  form.addEventListener("input", () => {
    once = newKey();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    wrong.textContent = "";
    try {
      const then = await send(valuesOf(form), once);
      if (then === false) return;
      dialog.close();
      await then?.();
    } catch (error) {
      wrong.textContent = error.message;
      go.disabled = false;
    }
  });
  form.querySelector("input:not([type=hidden]), select, button")?.focus();
  return form;
}

/** What a form's fields have, trimmed. */
export function valuesOf(form) {
  return Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]));
}

/** The fields of a limit: so many credits per period; empty for none. */
export function limitFields(limit) {
  const amount = element("input", { id: "limit-credits", name: "limit", type: "number", min: 0, step: "any", inputmode: "decimal", value: limit?.credits, placeholder: "no limit" });
  const period = element("select", { name: "period", "aria-label": "Period of the limit" }, Object.entries(PERIODS).map(([value, text]) => element("option", { value, selected: value === (limit?.period ?? "monthly") }, text)));
  return element("div", { class: "field" }, element("label", { for: "limit-credits" }, "Limit, in credits"), element("div", { class: "pair" }, amount, period), element("p", { class: "hint" }, "Held and charged credits count."));
}

/** The limit of a form's values; null for none. */
export function limitOf({ limit, period }) {
  return limit === "" ? null : { credits: Number(limit), period };
}
