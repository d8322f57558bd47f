// What support does with an account: `act({account, shared, path, again})`. Each takes a reason and shows now → then first;
// `again(text)` reads the account anew. Loaded when something is pressed.

import { openAct } from "./acts.js";
import { formatCredits, formatMoney, sum, withUnit } from "./amounts.js";
import { copyButton } from "./copying.js";
import { openDialog } from "./dialog.js";
import { element } from "./dom.js";
import { choice, field } from "./fields.js";
import { formatDay, formatTime } from "./times.js";
import { BUCKETS } from "./words.js";

const INTERVALS = [["monthly", "Monthly"], ["quarterly", "Quarterly"], ["yearly", "Yearly"]];
const DAY_SECONDS = 86_400;
const SHOWN_TO_CUSTOMER = "For the audit log, and shown to the customer in the journal.";

function bucketChoice() {
  return field("Bucket", choice("bucket", Object.entries(BUCKETS), "top_up"));
}

function availableAfter({ buckets, available }, bucket, credits) {
  const then = (now) => formatCredits(sum([now, credits]));
  return [[`${BUCKETS[bucket]} available`, formatCredits(buckets[bucket].available), then(buckets[bucket].available)], ["Available in all", formatCredits(available), then(available)]];
}

/** Add credits to a bucket. */
export function grant({ account, again, path }) {
  openAct({
    title: `Grant credits to ${account.id}`,
    account: account.id,
    fields: [bucketChoice(), field("Credits", element("input", { name: "credits", type: "number", min: "0.001", step: "0.001", required: true })), field("Expires", element("input", { name: "until", type: "datetime-local" }), "Empty: never. In your time zone.")],
    note: SHOWN_TO_CUSTOMER,
    verb: "Grant",
    changes: ({ bucket, credits, until }) => (credits > 0 ? [...availableAfter(account.balance, bucket, Number(credits)), ["These expire", "–", until ? formatTime(until) : "never"]] : []),
    send: ({ bucket, credits, until, reason }, call) => call("POST", `${path}/grants`, { bucket, credits: Number(credits), ...(until && { expires_at: new Date(until).toISOString() }), reason }),
    done: (_, { credits }) => again(`Granted ${withUnit(Number(credits))} to ${account.id}.`),
  });
}

/** Correct a bucket, up or down. */
export function adjust({ account, again, path }) {
  openAct({
    title: `Adjust ${account.id}`,
    account: account.id,
    fields: [bucketChoice(), field("Credits", element("input", { name: "credits", type: "number", step: "0.001", required: true }), "Below zero takes credits away.")],
    note: SHOWN_TO_CUSTOMER,
    verb: "Adjust",
    changes: ({ bucket, credits }) => {
      const { available } = account.balance.buckets[bucket];
      if (-credits > available) return `Only ${withUnit(available)} can be taken from this bucket.`;
      return Number(credits) ? availableAfter(account.balance, bucket, Number(credits)) : [];
    },
    send: ({ bucket, credits, reason }, call) => call("POST", `${path}/adjustments`, { bucket, credits: Number(credits), reason }),
    done: (_, { credits }) => again(`Adjusted ${account.id} by ${formatCredits(Number(credits))}.`),
  });
}

/** Start, change or cancel a plan. */
export function changePlan({ account, shared, again, path }) {
  const { plan, buckets } = account.balance;
  const named = new Map(shared.plans.data.map((sold) => [sold.id, sold]));
  const subscribed = plan.status !== "none";
  const undo = subscribed && (plan.status === "cancelled" || plan.scheduled);
  const options = [...shared.plans.data.map(({ id, name }) => [id, name]), ...(subscribed && plan.status !== "cancelled" ? [["cancel", "Free: cancel at the end of the paid period"]] : []), ...(undo ? [["undo", "Undo the scheduled change"]] : [])];
  const at = plan.paid_through ? formatDay(plan.paid_through) : "the end of the period";
  const priceOf = (id, interval) => {
    const price = named.get(id)?.price[interval];
    return price === undefined ? "–" : `${formatMoney(price)} ${interval}`;
  };
  openAct({
    title: `Change the plan of ${account.id}`,
    account: account.id,
    about: "No money is charged or returned for it here.",
    fields: [
      field("Plan", choice("plan", options, undo ? "undo" : plan.id)),
      field("Interval", choice("interval", INTERVALS, plan.interval ?? "monthly")),
      subscribed && field("When", choice("when", [["now", "Now: a new cycle begins"], ["period_end", `At ${at}`]], "now")),
    ].filter(Boolean),
    verb: "Change the plan",
    changes: ({ plan: id, interval, when = "now" }) => {
      const name = named.get(plan.id)?.name ?? "Free";
      if (id === "undo") return [["Plan", name, `${name}, and stays`]];
      if (id === "cancel") return [["Plan", name, `Free, from ${at}`], ["Subscription credits", formatCredits(buckets.subscription.available), `gone at ${at}`]];
      if (id === plan.id && interval === plan.interval) return "It has this plan and interval already.";
      const from = when === "now" ? "" : `, from ${at}`;
      const monthly = formatCredits(named.get(id).monthly_credits);
      return [["Plan", name, `${named.get(id).name}${from}`], ["Price", priceOf(plan.id, plan.interval), `${priceOf(id, interval)}${from}`], ["Credits a month", subscribed ? formatCredits(buckets.subscription.of) : "–", `${monthly}${from}`]];
    },
    send: ({ plan: id, interval, when }, call) => {
      if (id === "undo") return call("POST", `${path}/subscription/resume`);
      if (id === "cancel") return call("DELETE", `${path}/subscription`);
      return subscribed ? call("PATCH", `${path}/subscription`, { plan: id, interval, when }) : call("PUT", `${path}/subscription`, { plan: id, interval });
    },
    done: () => again(`Changed the plan of ${account.id}.`),
  });
}

/** Make a key; it is shown once. */
export function makeKey({ account, again, path }) {
  openAct({
    title: `New key for ${account.id}`,
    account: account.id,
    fields: [field("Label", element("input", { name: "label", maxlength: 100, required: true }))],
    verb: "Make the key",
    changes: () => [["Keys", String(account.keys.length), String(account.keys.length + 1)]],
    send: ({ label }, call) => call("POST", `${path}/keys`, { label }),
    done: ({ key }) => {
      const shown = element("input", { id: "new-key", class: "mono", readonly: true, value: key ?? "" });
      openDialog("The new key", key ? [element("p", {}, "It is shown only this once. Send it to the customer by a safe way."), field("Key", shown), element("p", { class: "row" }, copyButton(key, "the key", "Copy"))] : element("p", {}, "The response with the key was lost, and a key is shown only once. Revoke it and make another."));
      return again(`Made a key for ${account.id}.`);
    },
  });
}

/** Revoke a key, which is refused from then on. */
export function revokeKey({ account, key, again, path }) {
  openAct({
    title: `Revoke ${key.label ?? key.id}`,
    account: account.id,
    about: "Requests with it are refused at once. What they have created goes on.",
    verb: "Revoke",
    changes: () => [["Keys", String(account.keys.length), String(account.keys.length - 1)]],
    send: (_, call) => call("DELETE", `${path}/keys/${key.id}`),
    done: () => again(`Revoked ${key.label ?? key.id}.`),
  });
}

/** Move its clock, in test mode. */
export function advance({ account, again, path }) {
  openAct({
    title: `Advance the clock of ${account.id}`,
    account: account.id,
    about: "In test mode only. It cannot be turned back, and the account stays a test account: it can no longer pay real money.",
    fields: [field("Days", element("input", { name: "days", type: "number", min: 0, step: "any", value: 1, required: true }))],
    verb: "Advance",
    changes: ({ days }) => (days > 0 ? [["Its time", formatTime(account.clock.now), formatTime(Date.parse(account.clock.now) + days * DAY_SECONDS * 1000)]] : []),
    send: ({ days }, call) => call("POST", `${path}/clock`, { advance_seconds: Math.round(days * DAY_SECONDS) }),
    done: (_, { days }) => again(`Advanced the clock of ${account.id} by ${days} days.`),
  });
}
