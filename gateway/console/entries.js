// Journal entries in the words of those who pay.

import { formatChange, formatCredits } from "./amounts.js";
import { generationLink } from "./copying.js";
import { element } from "./dom.js";
import { amountHead, line, plainCell, table } from "./tables.js";
import { time, whenByAccount } from "./times.js";
import { BUCKETS, KINDS } from "./words.js";

/** Journal entries as a table: what each did to the credits that can be spent. `links`: with links to generations. */
export function entriesTable(entries, { links = true } = {}) {
  const heads = ["What", whenByAccount(), amountHead("Credits"), amountHead("Available after"), links && "Generation"].filter(Boolean);
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
