// Buying: start a purchase, then go to its payment page.

import { newKey, post } from "./api.js";

/** Buy a bundle of credits. Refused without a subscription. */
export function buyBundle(bundle) {
  return buy("/v1/top-ups", { bundle });
}

/** Buy a plan at an interval: "monthly", "quarterly" or "yearly". */
export function buyPlan(plan, interval) {
  return buy("/v1/subscriptions", { plan, interval });
}

async function buy(path, body) {
  const { checkout_url } = await post(path, body, { once: newKey() });
  location.assign(checkout_url);
}
