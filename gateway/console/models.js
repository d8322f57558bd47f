// The model picker of the Generate page: every model with what it is for and what it costs, cheapest first, those that the
// plan does not open apart; found by its name, by what it is for, and by its names elsewhere.

import { counted, formatCredits } from "./amounts.js";
import { announce, byId, element, icon, show } from "./dom.js";

/** Draw the models that a tool has. `offers`: model → {unit_credits, reason}; `choose(model)` is called with each choice. */
export function drawModels(models, offers, choose) {
  const price = ({ id }) => offers.get(id)?.unit_credits ?? Infinity;
  const cheapest = [...models].sort((a, b) => price(a) - price(b));
  const isOpen = ({ id }) => !offers.get(id)?.reason;
  const groups = [["In your plan", cheapest.filter(isOpen)], ["Not in your plan", cheapest.filter((model) => !isOpen(model))]];
  show(byId("models"), groups.map(([title, members]) => members.length > 0 && group(title, members, offers, choose)));
  byId("models").onclick = ({ detail }) => detail && byId("picker").hidePopover(); // a sheet on a phone; arrow keys go on
  byId("model-search").value = "";
  byId("model-search").oninput = ({ target }) => search(target.value, models);
  byId("no-model").hidden = true;
}

/** Check a model's choice, and scroll the list, not the page, to it. */
export function showChosen(id) {
  const list = byId("models");
  const choice = list.querySelector(`[value="${CSS.escape(id)}"]`);
  choice.checked = true;
  byId("model-open").textContent = choice.ariaLabel;
  const { top, bottom } = choice.parentElement.getBoundingClientRect();
  const seen = list.getBoundingClientRect();
  if (top < seen.top || bottom > seen.bottom) list.scrollTop += top - seen.top - seen.height / 3;
}

function group(title, models, offers, choose) {
  return element("div", { role: "group", "aria-label": title }, element("p", { class: "label", "aria-hidden": "true" }, title), element("div", { class: "model-group" }, models.map((model) => choice(model, offers.get(model.id) ?? {}, choose))));
}

function choice(model, { unit_credits: credits, list_unit_credits: list, reason }, choose) {
  const note = reason && element("span", { class: "note" }, icon("lock"), reason === "plan_limit" ? "not in your plan" : "requires a subscription");
  return element(
    "label",
    { class: "model", "data-model": model.id },
    element("input", { type: "radio", name: "model", value: model.id, "aria-describedby": `about-${model.id}`, "aria-label": `${model.name}${credits === undefined ? "" : `, ${formatCredits(credits)} credits`}${reason ? ", locked" : ""}`, onchange: () => choose(model) }),
    element("span", { class: "name" }, model.name, note, element("span", { class: "hint", id: `about-${model.id}` }, aboutOf(model))),
    credits !== undefined && element("span", { class: "amount" }, list && [element("s", { title: "List price" }, formatCredits(list)), " "], formatCredits(credits)),
  );
}

/** The first sentence of its description. */
function aboutOf({ description }) {
  return (description ?? "").split(/\.(?:\s|$)/)[0];
}

function search(text, models) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = new Set(models.filter(({ id, name, description, aliases }) => words.every((word) => `${id} ${name} ${description} ${aliases.join(" ")}`.toLowerCase().includes(word))).map(({ id }) => id));
  for (const one of byId("models").querySelectorAll("[data-model]")) one.hidden = !found.has(one.dataset.model);
  for (const one of byId("models").children) one.hidden = !one.querySelector("[data-model]:not([hidden])");
  byId("no-model").hidden = found.size > 0;
  announce(counted(found.size, "model"));
}
