// Not enough credits: the three ways out, from a 402 or a quote that cannot be paid.

import { buyBundle } from "./checkout.js";
import { formatCredits, formatMoney, withUnit } from "./amounts.js";
import { element, icon, showError } from "./dom.js";
import { accountNow, formatUntil, time } from "./times.js";
import { BUCKETS } from "./words.js";

const REASONS = { subscription_required: "Top-ups require a subscription: choose a plan first." };

/** The panel: what is missing, and how to get it. `shortfall` in credits, `held` by other generations. */
export function waysOut({ shortfall, held, ways_out: { wait, top_up: topUp, upgrade } }) {
  return element(
    "section",
    { class: "ways-out stack", "aria-label": "Ways to get the credits" },
    element("p", { class: "row" }, icon("warning"), element("strong", {}, `${withUnit(shortfall)} short`), held > 0 && element("span", { class: "small" }, `${formatCredits(held)} held by other generations; unused credits are returned`)),
    way("Wait", wait.map((refill) => element("li", {}, `${BUCKETS[refill.bucket]}: back to ${formatCredits(refill.credits)} `, time(refill.at, formatUntil(refill.at, accountNow()))))),
    way("Top up", topUp.allowed ? topUp.bundles.map(wayByBundle) : [element("li", {}, REASONS[topUp.reason] ?? "Not available.")]),
    way("Larger plan", upgrade.length ? upgrade.slice(0, 2).map(wayByPlan) : [element("li", {}, "No larger plan is enough.")]),
  );
}

function way(title, items) {
  return items.length > 0 && element("div", {}, element("h3", {}, title), element("ul", { class: "plain" }, items));
}

function wayByBundle(bundle) {
  const buy = () => buyBundle(bundle.id).catch(showError);
  return element("li", { class: "row apart" }, `${formatCredits(bundle.credits)} credits`, element("button", { type: "button", class: "small", onclick: buy }, `Buy · ${formatMoney(bundle.price)}`));
}

function wayByPlan(plan) {
  const [interval, price] = Object.entries(plan.price)[0];
  return element("li", { class: "row apart" }, `${plan.name}: ${formatCredits(plan.credits)} a month`, element("a", { class: "button small", href: `/plans#${plan.id}` }, `${formatMoney(price)} ${interval}`));
}
