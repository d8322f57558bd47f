// Labelled controls, and which actions a role is offered.

import { element } from "./dom.js";

const ROLES = { credits: ["support", "billing", "admin"], money: ["billing", "admin"], all: ["admin"] };

/** Whether a role may change credits ("credits"), plans and payments ("money"), anything ("all"). The API decides. */
export function may(scope, what) {
  return ROLES[what].includes(scope);
}

/** A labelled control; `note` explains it. */
export function field(label, control, note) {
  const id = control.id || `act-${control.name}`;
  control.id = id;
  return element("div", { class: "field" }, element("label", { for: id }, label), control, note && element("p", { class: "hint" }, note));
}

/** A select of `[value, text]`s. */
export function choice(name, options, chosen) {
  return element("select", { name }, options.map(([value, text]) => element("option", { value, selected: value === chosen }, text)));
}

/** A button that opens an action. */
export function actButton(text, act, label) {
  return element("button", { type: "button", class: "small", "aria-label": label, onclick: act }, text);
}
