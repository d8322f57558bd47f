// The Credits dialog: the three balances in the order they are spent, held credits, bundles, the latest movements.

import { get } from "./api.js";
import { buyBundle } from "./checkout.js";
import { counted, formatChange, formatCredits, formatMoney, withUnit } from "./amounts.js";
import { copyButton } from "./copying.js";
import { openDialog } from "./dialog.js";
import { element, icon, show, showError } from "./dom.js";
import { entriesTable } from "./entries.js";
import { accountNow, formatDay, formatUntil, time } from "./times.js";
import { BUCKETS, KINDS } from "./words.js";

const ENTRIES_SHOWN = 6;
const OPEN_STATES = ["waiting", "queued", "running"];
const ORDER = ["free", "subscription", "top_up"];

/** Open the dialog. While open, it follows the balance through the shell's `watchBalance`. */
export async function openCredits(watchBalance) {
  const balances = element("div", { class: "stack" });
  const bundles = element("div", { class: "stack tight" }, element("p", { class: "waits" }, "…"));
  const journal = element("div", { class: "stack tight" }, element("p", { class: "waits" }, "…"));
  const dialog = openDialog("Credits", [balances, section("Top up", bundles), section("Recent activity", journal), element("p", { class: "row apart" }, element("span", { class: "row" }, element("a", { href: "/journal" }, "All movements"), element("a", { href: "/usage" }, "Usage")), copyButton(() => shown.read.then(() => asText(shown)), "all for support", "Copy all for support"))]);
  const shown = {};
  const stop = watchBalance((balance) => {
    shown.balance = balance;
    readHeld(shown).then(() => show(balances, balancesOf(shown)), () => show(balances, balancesOf(shown)));
    shown.read = readJournal(shown, journal);
  });
  dialog.addEventListener("close", stop);
  try {
    const [sold, plans, card] = await Promise.all([get("/v1/bundles"), get("/v1/plans"), get("/v1/rate-card")]);
    Object.assign(shown, { plans, card });
    show(balances, balancesOf(shown));
    show(bundles, bundlesOf(sold.data, shown.balance));
  } catch (error) {
    show(bundles, element("p", { class: "wrong" }, error.message));
  }
}

function section(title, body) {
  return element("section", {}, element("h3", {}, title), body);
}

async function readHeld(shown) {
  if (!shown.balance.held) return;
  const pages = await Promise.all(OPEN_STATES.map((status) => get("/v1/generations", { status, limit: 100 })));
  const count = pages.reduce((total, { data }) => total + data.length, 0);
  shown.heldBy = `${pages.some((page) => page.next) ? "more than " : ""}${counted(count, "generation")}`;
}

async function readJournal(shown, journal) {
  try {
    shown.entries = (await get("/v1/journal", { limit: ENTRIES_SHOWN })).data;
    show(journal, shown.entries.length ? entriesTable(shown.entries) : element("p", { class: "quiet-text" }, "No activity yet."));
  } catch (error) {
    show(journal, element("p", { class: "wrong" }, error.message));
  }
}

// --- the three balances -----------------------------------------------------------------------------------------------

function balancesOf({ balance, plans, card, heldBy }) {
  const held = balance.held > 0 && element("p", { class: "held-line" }, icon("clock"), `${formatCredits(balance.held)} held${heldBy ? ` by ${heldBy}` : ""}`, element("span", { class: "hint" }, " set aside, not spent; unused credits are returned"));
  return [
    element("p", { class: "row apart" }, element("strong", { class: "total" }, withUnit(balance.available)), element("span", { class: "quiet-text small" }, planOf(balance, plans))),
    element("ol", { class: "balances" }, ORDER.map((bucket) => balanceItem(bucket, balance, card))),
    held,
  ];
}

function balanceItem(bucket, balance, card) {
  const { available } = balance.buckets[bucket];
  return element(
    "li",
    { class: `balance-item ${bucket}` },
    element("span", { class: "row" }, element("span", { class: "swatch" }), element("strong", {}, BUCKETS[bucket])),
    element("span", { class: "figure" }, formatCredits(available)),
    element("span", { class: "hint" }, whenOf(bucket, balance, card)),
    datedGrants(bucket, balance),
  );
}

function whenOf(bucket, { buckets, plan }, card) {
  if (bucket === "top_up") return "Never expires";
  if (bucket === "free") {
    const { resets_at: at } = buckets.free;
    const amount = card && (card.free.audience === "everyone" || (card.free.audience === "without_subscription" && plan.id === "free")) ? ` to ${formatCredits(card.free.daily_credits)}` : "";
    return [`Resets${amount} `, time(at, formatUntil(at, accountNow()))];
  }
  const { of, refreshes_at: at } = buckets.subscription;
  if (!at) return "No subscription";
  const ends = plan.paid_through && plan.paid_through <= at;
  return [ends ? "Ends " : `of ${formatCredits(of)} · refreshes `, time(ends ? plan.paid_through : at, formatDay(ends ? plan.paid_through : at))];
}

/** Grants with their own expiry: late refunds, operators' grants. */
function datedGrants(bucket, { grants, buckets }) {
  const usual = bucket === "free" ? buckets.free.resets_at : buckets.subscription.refreshes_at;
  const dated = grants.filter((grant) => grant.bucket === bucket && grant.available > 0 && grant.expires_at && grant.expires_at !== usual);
  if (!dated.length) return false;
  return element("ul", { class: "plain hint" }, dated.map((grant) => element("li", {}, `${formatCredits(grant.available)} of them until `, time(grant.expires_at))));
}

function planOf({ plan }, plans) {
  const name = plans?.data.find((sold) => sold.id === plan.id)?.name ?? (plan.id === "free" ? "Free plan" : plan.id);
  if (plan.id === "free") return name;
  const scheduled = plan.scheduled && `; ${plan.scheduled.plan} from ${plan.scheduled.at ? formatDay(plan.scheduled.at) : "the next period"}`;
  const until = plan.paid_through ? `${plan.status === "cancelled" ? "ends" : "paid through"} ${formatDay(plan.paid_through)}` : plan.status === "cancelled" ? "cancelled" : "renews automatically";
  return `${name}, ${plan.interval}: ${until}${scheduled || ""}`;
}

// --- bundles ------------------------------------------------------------------------------------------------------------

function bundlesOf(bundles, balance) {
  if (!bundles.length) return element("p", { class: "quiet-text" }, "No bundles on sale.");
  const why = !balance.top_up_allowed && element("p", { class: "row small", id: "no-bundles" }, icon("lock"), "Bundles require a subscription. ", element("a", { href: "/plans" }, "Choose a plan first"));
  return [why, element("ul", { class: "plain bundles" }, bundles.map((bundle) => bundleItem(bundle, balance.top_up_allowed)))];
}

function bundleItem(bundle, allowed) {
  const buy = () => allowed && buyBundle(bundle.id).catch(showError);
  return element(
    "li",
    {},
    element("strong", {}, withUnit(bundle.credits)),
    element("span", { class: "hint" }, `${bundle.name} · ${formatMoney(bundle.price_per_100)} per 100`),
    element("button", { type: "button", class: allowed && "primary", "aria-disabled": !allowed && "true", "aria-describedby": !allowed && "no-bundles", onclick: buy }, `Buy · ${formatMoney(bundle.price)}`),
  );
}

function asText({ balance, entries = [], plans, heldBy }) {
  const { free, subscription, top_up: topUp } = balance.buckets;
  return [
    `Farebox credits, ${new Date().toISOString()}`,
    `Available: ${formatCredits(balance.available)}; held: ${formatCredits(balance.held)}${heldBy ? ` by ${heldBy}` : ""}`,
    `Free: ${formatCredits(free.available)}, resets ${free.resets_at}`,
    `Subscription: ${formatCredits(subscription.available)} of ${formatCredits(subscription.of)}, refreshes ${subscription.refreshes_at ?? "never"}`,
    `Top-up: ${formatCredits(topUp.available)}, never expires`,
    `Plan: ${planOf(balance, plans)}`,
    ...balance.grants.map((grant) => `Grant ${grant.id}: ${BUCKETS[grant.bucket]}, ${grant.kind}, ${formatCredits(grant.available)} of ${formatCredits(grant.granted)}, held ${formatCredits(grant.held)}, until ${grant.expires_at ?? "forever"}`),
    ...entries.map((entry) => `Entry ${entry.id}: ${entry.at} ${KINDS[entry.kind]} ${formatChange(entry.credits)}, held ${formatChange(entry.held)}, after ${formatCredits(entry.available_after)}${entry.generation ? `, ${entry.generation}` : ""}`),
  ].join("\n");
}
