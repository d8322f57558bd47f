// A generation's receipt, and journal entries in the words of those who pay.

import { counted, formatChange, formatCredits } from "./amounts.js";
import { generationLink } from "./copying.js";
import { element } from "./dom.js";
import { linesTable } from "./quotes.js";
import { amountHead, line, plainCell, table } from "./tables.js";
import { time } from "./times.js";
import { BUCKETS, KINDS, costOf } from "./words.js";

const PRINTED = new Intl.DateTimeFormat("en-US", { dateStyle: "long", timeStyle: "short" });

/** A receipt: its lines, who paid, and every movement. Printed, it says what it is a receipt of. */
export function receiptOf(receipt, heading = "h3") {
  return [
    element(heading, {}, "Receipt"),
    element("p", { class: "printed" }, `${location.host} · account ${receipt.account} · ${receipt.generation} · ${PRINTED.format(new Date(receipt.created_at))}`),
    element("p", { class: "cost" }, `${costOf({ ...receipt, credits: receipt, outputs: { length: receipt.outputs_delivered } })}${paidFrom(receipt)}`),
    linesTable(receipt.lines, receipt.credits, `Price of ${counted(receipt.outputs_requested, "output")}`),
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

/** Journal entries as a table: what each did to the credits that can be spent. `links`: with links to generations. */
export function entriesTable(entries, { links = true } = {}) {
  const heads = ["What", "When", amountHead("Credits"), amountHead("Available after"), links && "Generation"].filter(Boolean);
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Credit movements" }, table(heads, entries.map((entry) => entryLine(entry, links)), { cards: true }));
}

function entryLine(entry, links) {
  const cells = [plainCell(time(entry.at)), changeOf(entry), formatCredits(entry.available_after), links && plainCell(entry.generation ? generationLink(entry.generation) : "–")];
  return line(whatOf(entry), cells.filter(Boolean));
}

/** "Charged 147 · subscription": a charge takes what was held, so that nothing changes in what is available. */
function whatOf(entry) {
  const buckets = Object.keys(entry.buckets).map((bucket) => BUCKETS[bucket].toLowerCase());
  const name = entry.kind === "commit" ? `${KINDS.commit} ${formatCredits(-entry.held)}` : KINDS[entry.kind];
  return [name, buckets.length > 0 && element("span", { class: "quiet-text" }, ` · ${buckets.join(", ")}`), entry.reason && element("span", { class: "hint" }, ` ${entry.reason}`)];
}

function changeOf(entry) {
  return entry.kind === "commit" ? element("span", { class: "quiet-text" }, "was held") : formatChange(entry.credits);
}
