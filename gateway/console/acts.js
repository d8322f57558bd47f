// What operators do with accounts, pauses and generations: a form with a reason that shows now → then before it is done.

import { newKey, operate, withQuery } from "./api.js";
import { counted, formatCredits, formatMoney, sum, withUnit } from "./amounts.js";
import { openOnce } from "./copying.js";
import { byId, element, show } from "./dom.js";
import { choice, field } from "./fields.js";
import { openForm, valuesOf } from "./forms.js";
import { records } from "./tables.js";
import { formatDay, formatTime } from "./times.js";
import { BUCKETS } from "./words.js";

/** The table of a change: `[what, now, then]` each. */
function changesTable(changes) {
  const columns = [["What", ([what]) => what], ["Now", ([, now]) => now], ["Then", ([, , then]) => element("strong", {}, then)]];
  return changes.length > 0 && records(columns, changes);
}

/**
 * Open an action. `changes(values)` returns what it changes as in `changesTable`, or a text that says why it cannot be
 * done; `send(values, call)` does it, by `call(method, path, body)`, which has the reason and is safe to repeat. If that
 * returns `{next, changes}`, it has only looked: these changes are shown, and the button reads `next`. Afterwards
 * `done(result)` is called, and what it returns is said at the top of the page, with a link to the log.
 */
export function openAct({ title, about, fields = [], note = "For the audit log.", verb, changes, send, done, account }) {
  const shown = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "What it changes", "aria-live": "polite" });
  const reason = element("input", { name: "reason", required: true, maxlength: 300, autocomplete: "off" });
  const draw = (found, text) => {
    const possible = Array.isArray(found);
    const go = form.querySelector(".primary");
    go.disabled = !possible;
    go.textContent = text;
    show(shown, possible ? changesTable(found) : element("p", { class: "wrong" }, found));
    return false;
  };
  const keys = new Map(); // a second press after a lost response does nothing twice
  const callWith = (values) => (method, path, body) => {
    const text = JSON.stringify([method, path, body]);
    if (!keys.has(text)) keys.set(text, newKey());
    return operate(method, path, body, { reason: values.reason, once: keys.get(text) });
  };
  const act = async (values) => {
    const result = await send(values, callWith(values));
    return result?.next ? draw(result.changes, result.next) : async () => sayDone(await done(result, values), account);
  };
  const form = openForm({ title, about, fields: [fields, field("Reason", reason, note), shown], verb, keep: "Keep it as it is", send: act });
  const anew = () => draw(changes(valuesOf(form)), verb);
  form.addEventListener("input", anew);
  anew();
}

/** Say what was done, and where it is logged. */
function sayDone(text, account) {
  const place = byId("done");
  place.hidden = false;
  place.tabIndex = -1;
  show(place, text, " ", element("a", { href: withQuery("/audit-log", { account }) }, "See the audit log"));
  place.focus(); // what was pressed may be drawn anew, and far down the page
}

// --- accounts: each is `act({ account, shared, path, again })`; `again(text)` reads the account anew -----------------

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
    verb: "Create the key",
    changes: () => [["Keys", String(account.keys.length), String(account.keys.length + 1)]],
    send: ({ label }, call) => call("POST", `${path}/keys`, { label }),
    done: ({ key }) => {
      openOnce("The new key", "It is shown only this once. Send it over a secure channel.", key, "The response with the key was lost. Revoke it and make another.");
      return again(`Created a key for ${account.id}.`);
    },
  });
}

/** Revoke a key, which is refused from then on. */
export function revokeKey({ account, key, again, path }) {
  openAct({
    title: `Revoke ${key.label ?? key.id}`,
    account: account.id,
    about: "Requests with it are refused at once.",
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
    about: "In test mode only. It cannot be turned back, and the account can no longer pay real money.",
    fields: [field("Days", element("input", { name: "days", type: "number", min: 0, step: "any", value: 1, required: true }))],
    verb: "Advance",
    changes: ({ days }) => (days > 0 ? [["Its time", formatTime(account.clock.now), formatTime(Date.parse(account.clock.now) + days * DAY_SECONDS * 1000)]] : []),
    send: ({ days }, call) => call("POST", `${path}/clock`, { advance_seconds: Math.round(days * DAY_SECONDS) }),
    done: (_, { days }) => again(`Advanced the clock of ${account.id} by ${days} days.`),
  });
}

// --- pauses ----------------------------------------------------------------------------------------------------------

/** Pause it: `{kind, name}`; `done(text)` is called afterwards. */
export function pauseWhat(what, done) {
  openAct({
    title: `Pause the ${nameOf(what)}`,
    account: accountOf(what),
    about: `${what.kind === "account" ? "" : "For all accounts. "}What a provider already works on goes on.`,
    fields: [
      field("New generations", choice("new", [["refuse", "Refuse them, with the reason"], ["wait", "Accept them, and let them wait"]], "refuse")),
      field("Until", element("input", { name: "until", type: "datetime-local" }), "Empty: until it is resumed. In your time zone."),
    ],
    note: "For the audit log, and shown to customers: write it for them.",
    verb: "Pause",
    changes: ({ new: treatment }) => [["New generations", "accepted", treatment === "wait" ? "accepted, and wait" : "refused with your reason"], ["Those that wait or are queued", "start", "are held; their time stands still"]],
    send: ({ reason, new: treatment, until }, call) => call("PUT", pathOf(what), { reason, new: treatment, ...(until && { until: new Date(until).toISOString() }) }),
    done: () => done(`Paused the ${nameOf(what)}.`),
  });
}

/** Resume it: with the `reason` of its pause, and how it treated what is `new`. */
export function resumeWhat(what, done) {
  openAct({
    title: `Resume the ${nameOf(what)}`,
    account: accountOf(what),
    about: `Paused because: ${what.reason}`,
    verb: "Resume",
    changes: () => [["New generations", what.new === "wait" ? "wait" : "refused", "accepted"], ["Those that wait or are queued", "are held", "start"]],
    send: (_, call) => call("DELETE", pathOf(what)),
    done: () => done(`Resumed the ${nameOf(what)}.`),
  });
}

/** "provider fal" */
export function nameOf({ kind, name }) {
  return `${kind} ${name}`;
}

function accountOf({ kind, name }) {
  return kind === "account" ? name : undefined;
}

function pathOf({ kind, name }) {
  return kind === "account" ? `/v1/admin/accounts/${encodeURIComponent(name)}/pause` : `/v1/ops/pauses/${kind}/${encodeURIComponent(name)}`;
}

// --- generations: a dry run first, then the same with its token ------------------------------------------------------

const WORDS = {
  cancel: { verb: "Cancel", done: "Cancelled", moved: "returned", now: "held", then: "returned; what was delivered stays charged", none: "Nothing is open." },
  retry: { verb: "Retry", done: "Retried", moved: "held", now: "to be held", then: "held by new generations", none: "Nothing is left to retry." },
  refund: { verb: "Refund", done: "Refunded", moved: "given back", now: "charged", then: "given back", none: "Nothing is left to refund: it has been given back." },
};

/**
 * Open an action for all generations that match a filter of the API. `one`: the generation, if it is a single one, whose
 * credits are known: then it is done at once.
 */
export function openBulk(action, filter, { title, one, account, done }) {
  const words = WORDS[action];
  const path = `/v1/ops/bulk/${action}`;
  let looked = null; // the dry run, and the reason that it was made with
  openAct({
    title,
    account,
    about: one ? null : "The dry run counts what matches now and touches nothing.",
    note: action === "retry" ? "For the audit log." : "For the audit log, and shown to the customer in the journal.",
    verb: one ? words.verb : "Dry run",
    changes: () => {
      looked = null;
      return one ? [["Credits", `${formatCredits(one.credits)} ${words.now}`, words.then]] : [];
    },
    send: async ({ reason }, call) => {
      if (!looked) {
        looked = await call("POST", path, { filter, reason });
        if (looked.count === 0) throw new Error(words.none);
        if (!one) return { next: `${words.verb} ${looked.count}`, changes: countsOf(looked, words) };
      }
      for (;;) {
        const made = await operate("POST", path, { filter, reason, token: looked.token }, { reason });
        if (made.complete) return made;
      }
    },
    done: ({ results, credits_moved: moved }) => done(saidOf(results, moved, words)),
  });
}

function countsOf({ count, accounts, credits, more }, { now, then }) {
  return [["Generations", `${counted(count, "generation")} of ${counted(accounts, "account")}`, more ? "these; more match, for another run" : "all of them"], ["Credits", `${formatCredits(credits)} ${now}`, then]];
}

/** "Refunded 30 generations: 150 credits given back. Not done: already_ended 2." */
function saidOf(results, moved, { done, moved: how }) {
  const others = Object.entries(results).filter(([result]) => !MADE.has(result));
  const made = Object.entries(results).filter(([result]) => MADE.has(result)).reduce((sum, [, count]) => sum + count, 0);
  return `${done} ${counted(made, "generation")}: ${withUnit(moved)} ${how}.${results.stopping ? ` ${counted(results.stopping, "of them is", "of them are")} stopping.` : ""}${others.length ? ` Not done: ${others.map(([result, count]) => `${result.replaceAll("_", " ")} ${count}`).join(", ")}.` : ""}`;
}

const MADE = new Set(["cancelled", "stopping", "retried", "refunded"]);
