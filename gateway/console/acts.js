// What an operator does: a form with a reason that shows now → then before it is done; afterwards its entry in the audit log.

import { newKey, operate, withQuery } from "./api.js";
import { openDialog } from "./dialog.js";
import { announce, byId, element, show } from "./dom.js";
import { field } from "./fields.js";
import { line, plainCell, table } from "./tables.js";

/** The table of a change: `[what, now, then]` each. */
export function changesTable(changes) {
  if (!changes.length) return null;
  return table(["What", "Now", "Then"], changes.map(([what, now, then]) => line(what, [plainCell(now), plainCell(element("strong", {}, then))])), { "aria-label": "What it changes", numbers: 3 });
}

/**
 * Open an action. `changes(values)` returns what it changes as in `changesTable`, or a text that says why it cannot be
 * done; `send(values, call)` does it, by `call(method, path, body)`, which has the reason and is safe to repeat.
 * Afterwards `done(result)` is called, and what it returns is said at the top of the page, with a link to the log.
 */
export function openAct({ title, about, fields = [], note = "For the audit log.", verb, changes, send, done, account }) {
  const shown = element("div", { class: "scroll", "aria-live": "polite" });
  const wrong = element("p", { class: "wrong", role: "alert" });
  const go = element("button", { class: "primary" }, verb);
  const reason = element("input", { name: "reason", required: true, maxlength: 300, autocomplete: "off" });
  const form = element("form", { class: "stack" }, about, fields, field("Reason", reason, note), shown, wrong, element("p", { class: "row" }, go, element("button", { type: "button", onclick: () => dialog.close() }, "Keep it as it is")));
  const dialog = openDialog(title, form);
  const draw = () => {
    const found = changes(valuesOf(form));
    const possible = Array.isArray(found);
    go.disabled = !possible;
    show(shown, possible ? changesTable(found) : element("p", { class: "wrong" }, found));
  };
  let sent = {};
  form.addEventListener("input", draw);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = valuesOf(form);
    const text = JSON.stringify(values);
    if (sent.text !== text) sent = { text, once: newKey() }; // a second press after a lost response does nothing twice
    go.disabled = true;
    wrong.textContent = "";
    try {
      const result = await send(values, (method, path, body) => operate(method, path, body, { reason: values.reason, once: sent.once }));
      dialog.close();
      sayDone(await done(result, values), account);
    } catch (error) {
      wrong.textContent = messageOf(error);
      go.disabled = false;
    }
  });
  draw();
  (fields.length ? form.querySelector("input, select") : reason).focus();
  return dialog;
}

/** Say what was done, and where it is logged. */
export function sayDone(text, account) {
  const place = byId("done");
  place.hidden = false;
  show(place, text, " ", element("a", { href: withQuery("/audit-log", { account }) }, "See the audit log"));
  announce(text);
}

/** An error with what is wrong with each field. */
export function messageOf(error) {
  return [error.message, ...(error.details?.fields ?? []).filter(({ message }) => !error.message.includes(message)).map(({ path, message }) => `${path}: ${message}`)].join(" ");
}

function valuesOf(form) {
  return Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]));
}
