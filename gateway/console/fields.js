// Labelled controls, which actions a role is offered, and limits as text.

import { formatCredits } from "./amounts.js";
import { element } from "./dom.js";

/** The periods of a limit. */
export const PERIODS = { daily: "a day", weekly: "a week", monthly: "a month", never: "in all" };

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

/** A limit as text: "500 a month". */
export function limitText(limit) {
  return limit ? `${formatCredits(limit.credits)} ${PERIODS[limit.period]}` : "none";
}
