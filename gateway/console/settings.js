// The controls for a model's settings, generated from the rate card.

import { formatExact } from "./amounts.js";
import { element } from "./dom.js";
import { settingName, settingValue } from "./words.js";

const SEGMENTS_MAX = 5;
const SLIDER_STEPS_MAX = 30;

/** Controls for every setting of `model`, set to `values` where the model accepts them; `onchange` at every change. */
export function settingControls(model, values, onchange) {
  return Object.entries(model.settings).map(([name, setting]) => {
    const known = values[name];
    const value = known !== undefined && takes(setting, known) ? known : setting.default;
    return control(name, { ...setting, surcharge: surcharge(model, name) }, value, onchange);
  });
}

/** The values of the controls inside `root`: `{name: value}`, for the API. */
export function settingsOf(root) {
  const values = {};
  for (const input of root.querySelectorAll("[data-setting]")) {
    if (input.type === "radio" && !input.checked) continue;
    if (input.type === "checkbox") values[input.dataset.setting] = input.checked;
    else if (input.value !== "") values[input.dataset.setting] = JSON.parse(input.dataset.values ?? "null")?.[input.value] ?? Number(input.value);
  }
  return values;
}

function takes(setting, value) {
  return setting.values ? setting.values.includes(value) : typeof value === "number" && value >= setting.min && value <= setting.max;
}

function control(name, setting, value, onchange) {
  const { values } = setting;
  if (!values) return range(name, setting, value, onchange);
  if (values.length === 1) return fixed(name, setting);
  if (values.every((one) => typeof one === "boolean")) return check(name, setting, value, onchange);
  return values.length <= SEGMENTS_MAX ? segments(name, setting, value, onchange) : select(name, setting, value, onchange);
}

function fixed(name, { values, unit }) {
  return element("div", { class: "field" }, element("span", { class: "label" }, settingName(name)), element("span", { class: "fixed" }, settingValue(values[0], unit)));
}

function check(name, { surcharge: more }, value, onchange) {
  const input = element("input", { type: "checkbox", "data-setting": name, checked: value, onchange });
  return element("label", { class: "check" }, input, element("span", {}, settingName(name), more && element("span", { class: "hint" }, ` ${more}`)));
}

/** What turning a setting on adds, if an add-on depends only on it: "+1 each", "×1.5". */
function surcharge(model, name) {
  const addOn = model.add_ons.find(({ when }) => Object.keys(when).join() === name && when[name].includes(true));
  if (!addOn) return "";
  if (addOn.factor !== null) return `×${formatExact(addOn.factor)}`;
  return addOn.credits === null ? "" : `+${formatExact(addOn.credits)}${addOn.per === "output" ? " each" : ""}`;
}

function segments(name, { values, unit }, value, onchange) {
  const choices = values.map((one, index) =>
    element(
      "label",
      {},
      element("input", { type: "radio", name: `setting-${name}`, value: index, "data-setting": name, "data-values": JSON.stringify(values), checked: one === value, onchange }),
      settingValue(one, unit),
    ),
  );
  return element("div", { class: "field", role: "radiogroup", "aria-label": settingName(name) }, element("span", { class: "label", "aria-hidden": "true" }, settingName(name)), element("div", {}, element("div", { class: "segments" }, choices)));
}

function select(name, { values, unit }, value, onchange) {
  const options = values.map((one, index) => element("option", { value: index, selected: one === value }, settingValue(one, unit)));
  const id = `setting-${name}`;
  return field(name, id, element("select", { id, "data-setting": name, "data-values": JSON.stringify(values), onchange }, options));
}

function range(name, { min, max, step, unit }, value, onchange) {
  const id = `setting-${name}`;
  const slides = (max - min) / step <= SLIDER_STEPS_MAX;
  const input = element("input", { id, type: slides ? "range" : "number", min, max, step, "data-setting": name, inputmode: "numeric", oninput: onchange, value });
  if (!slides) return field(name, id, input);
  const shown = element("output", { for: id }, settingValue(value, unit));
  input.addEventListener("input", () => (shown.value = settingValue(Number(input.value), unit)));
  return element("div", { class: "field" }, element("label", { for: id, class: "row apart" }, settingName(name), shown), input);
}

function field(name, id, input) {
  return element("div", { class: "field" }, element("label", { for: id }, settingName(name)), input);
}
