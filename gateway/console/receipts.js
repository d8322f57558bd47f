// A generation's receipt: its lines, who paid, and every movement.

import { counted, formatCredits } from "./amounts.js";
import { element } from "./dom.js";
import { entriesTable } from "./entries.js";
import { linesTable } from "./quotes.js";
import { BUCKETS, chargeOf } from "./words.js";

const PRINTED = new Intl.DateTimeFormat("en-US", { dateStyle: "long", timeStyle: "short" });

/** A receipt: its lines, who paid, and every movement. Printed, it says what it is a receipt of. */
export function receiptOf(receipt, heading = "h3") {
  return [
    element(heading, {}, "Receipt"),
    element("p", { class: "printed" }, `${location.host} · account ${receipt.account} · ${receipt.generation} · ${PRINTED.format(new Date(receipt.created_at))}`),
    element("p", { class: "cost" }, `${chargeOf({ ...receipt, credits: receipt, outputs: { length: receipt.outputs_delivered } })}${paidFrom(receipt)}`),
    linesTable(receipt, `Price of ${counted(receipt.outputs_requested, "output")}`),
    receipt.differences.map(({ output, message }) => element("p", { class: "hint" }, `Output ${output + 1}. ${message}`)),
    element(heading, {}, "Movements"),
    entriesTable(receipt.entries, { links: false }),
    element("p", { class: "hint" }, "Rate card ", element("code", {}, receipt.rate_card)),
  ];
}

/** The buckets that paid, as the entry of the charge says; before it, those that would. */
function paidFrom({ allocation, entries }) {
  const charge = entries.findLast(({ kind }) => kind === "commit");
  const parts = charge ? Object.entries(charge.buckets).map(([bucket, { held }]) => [bucket, -held]) : allocation.map(({ bucket, credits }) => [bucket, credits]);
  const named = parts.filter(([, credits]) => credits > 0).map(([bucket, credits]) => `${formatCredits(credits)} ${BUCKETS[bucket].toLowerCase()}`);
  return named.length ? ` (from ${named.join(", ")})` : "";
}
