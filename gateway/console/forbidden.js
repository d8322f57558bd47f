// Combinations that a model does not accept: `forbidden` in the rate card. Rules about inputs are checked by the quote.

import { settingsOf } from "./settings.js";

const STEPS_MAX = 200;

/** The rule that forbids these settings, all others at their defaults; undefined if there is none. */
export function forbidding(model, settings) {
  const value = (name) => settings[name] ?? model.settings[name]?.default;
  return model.forbidden.find(({ when }) => Object.entries(when).every(([name, values]) => values.includes(value(name))));
}

/** `settings`, with as few changes to other defaults as needed to make them allowed; null if that is impossible. */
export function completed(model, settings) {
  const rule = forbidding(model, settings);
  if (!rule) return settings;
  for (const name of Object.keys(rule.when).filter((one) => model.settings[one] && !(one in settings))) {
    for (const value of valuesOf(model.settings[name])) {
      if (rule.when[name].includes(value)) continue;
      const found = completed(model, { ...settings, [name]: value });
      if (found) return found;
    }
  }
  return null;
}

/** Disable the choices inside `root` that are forbidden with the current ones, and say why. */
export function markForbidden(root, model) {
  const chosen = settingsOf(root);
  for (const choice of root.querySelectorAll("input[type=radio][data-setting], option")) {
    const { setting, values } = (choice.closest("select") ?? choice).dataset;
    const value = JSON.parse(values)[choice.value];
    const rule = chosen[setting] !== value && forbidding(model, { ...chosen, [setting]: value });
    choice.disabled = Boolean(rule);
    (choice.closest("label") ?? choice).title = rule ? (rule.reason ?? "Not with the other settings as they are.") : "";
  }
}

function valuesOf({ values, min, max, step }) {
  return values ?? Array.from({ length: Math.min(STEPS_MAX, (max - min) / step + 1) }, (_, index) => min + index * step);
}
