// The price panel: the calculation, which buckets pay it, what is left, and whether the plan allows it.

import { counted, difference, formatCredits, formatExact, withUnit } from "./amounts.js";
import { element, icon, retried } from "./dom.js";
import { BUCKETS } from "./words.js";

/** What to show of a quote, with the account's balance. */
export async function quoteView(quote, balance) {
  const { waysOut } = quote.affordable ? {} : await retried(() => import("./ways-out.js"));
  return [
    linesTable(quote, "The price, line by line"),
    !quote.allowed && locked(quote),
    quote.allowed && !quote.affordable && waysOut({ ...quote, held: balance.held }),
    quote.allowed && quote.affordable && payers(quote, balance),
  ];
}

/** The lines of a price as a table: 73.5 × 2 outputs = 147. */
export function linesTable({ lines, credits, at_most: atMost }, caption) {
  return element(
    "table",
    { class: "lines" },
    element("caption", { class: "unseen" }, caption),
    element("thead", { class: "unseen" }, element("tr", {}, element("th", { scope: "col" }, "What"), element("th", { scope: "col" }, "Credits"))),
    element("tbody", {}, lines.map(lineRow)),
    element("tfoot", {}, element("tr", {}, element("th", { scope: "row" }, "Total"), element("td", { class: "amount" }, withUnit(credits, atMost)))),
  );
}

function lineRow({ label, credits, count, total, unit, reported, charged }) {
  const written = count === 1 ? formatExact(total) : `${formatExact(credits)} × ${unit ? formatExact(count) : counted(count, "output")} = ${formatExact(total)}`;
  const used = charged != null && `${reported === null ? "not reported" : `reported ${formatExact(reported)}`}, charged for ${formatExact(charged)}`;
  return element("tr", {}, element("th", { scope: "row" }, label, used && element("span", { class: "hint lines" }, used)), element("td", { class: "amount" }, written));
}

function locked(quote) {
  return element(
    "div",
    { class: "locked stack tight" },
    element("p", { class: "row" }, icon("lock"), element("strong", {}, quote.reason === "plan_limit" ? "Not in your plan" : "Requires a subscription")),
    element("p", { class: "small" }, quote.message),
    element("p", {}, element("a", { class: "button", href: "/plans" }, "See the plans")),
  );
}

function payers({ credits, at_most: atMost, allocation }, balance) {
  const shares = allocation.map(({ bucket, credits: part }) => {
    const bar = element("span", { class: `share ${bucket}` });
    bar.style.flexGrow = part;
    return bar;
  });
  return element(
    "div",
    { class: "stack tight" },
    element("div", { class: "shares", "aria-hidden": "true" }, shares),
    element(
      "dl",
      { class: "pairs small" },
      allocation.map(({ bucket, credits: part }) => [element("dt", {}, element("span", { class: `swatch ${bucket}` }), ` ${BUCKETS[bucket]}`), element("dd", {}, `${formatCredits(part)} of ${formatCredits(balance.buckets[bucket].available)}`)]),
      element("dt", {}, atMost ? "Left at least" : "Left afterwards"),
      element("dd", {}, withUnit(difference(balance.available, credits))),
    ),
  );
}
