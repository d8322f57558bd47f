// A dialog: closed by its button, Escape or a click outside; the focus then returns to where it was.

import { element, icon } from "./dom.js";

/** Show `body` in a dialog with a heading; `options.wide`: wider. Returns the <dialog>, which is removed once closed. */
export function openDialog(title, body, { wide = false } = {}) {
  const heading = element("h2", { id: `dialog-${document.querySelectorAll("dialog").length}` }, title);
  const close = element("button", { type: "button", class: "quiet icon", onclick: () => dialog.close() }, icon("close"), element("span", { class: "unseen" }, "Close"));
  const dialog = element(
    "dialog",
    { class: wide && "wide", "aria-labelledby": heading.id, onclose: () => dialog.remove() },
    element("header", {}, heading, close),
    element("div", { class: "body stack" }, body),
  );
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
