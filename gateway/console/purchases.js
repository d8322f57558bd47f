// The Purchases page: bundles and plans that were bought, each with a receipt to print.

import { get } from "./api.js";
import { formatCredits, formatMoney } from "./amounts.js";
import { idWithCopy } from "./copying.js";
import { openDialog } from "./dialog.js";
import { byId, element, icon, show, showError } from "./dom.js";
import { actButton } from "./fields.js";
import { on } from "./live.js";
import { startPage } from "./shell.js";
import { amountHead, line, noLines, plainCell, table } from "./tables.js";
import { formatMoment, time } from "./times.js";

const HEADS = ["What", "When", amountHead("Price"), amountHead("Credits"), "State", "Receipt"];
const MARKS = { paid: "good", open: "accent", failed: "bad", expired: "warn" };
const AT_ONCE = 20;

let purchases = [];
let next = null;

await startPage(async () => {
  await read(true);
  byId("more").addEventListener("click", () => read(false).catch(showError));
  on("balance", () => read(true).catch(showError));
  on("again", () => read(true).catch(showError));
});

async function read(anew) {
  const page = await get("/v1/purchases", { limit: AT_ONCE, before: anew ? null : next });
  purchases = anew ? page.data : [...purchases, ...page.data];
  next = page.next;
  byId("more").hidden = next === null;
  show(byId("purchases"), table(HEADS, purchases.length ? purchases.map(rowOf) : noLines(HEADS.length, "Nothing was bought yet."), { cards: true, "aria-label": "Purchases" }));
}

function rowOf(purchase) {
  return line(nameOf(purchase), [
    plainCell(time(purchase.paid_at ?? purchase.created_at)),
    formatMoney(purchase.price),
    `${formatCredits(purchase.credits)}${purchase.plan ? " a month" : ""}`,
    plainCell(element("span", { class: `badge ${MARKS[purchase.status]}` }, purchase.status), purchase.refunded > 0 && element("div", { class: "hint" }, `${formatMoney(purchase.refunded)} returned`)),
    plainCell(purchase.status === "paid" ? actButton("Receipt", () => openReceipt(purchase), `Receipt: ${nameOf(purchase)}, ${purchase.id}`) : idWithCopy(purchase.id)),
  ]);
}

function nameOf({ name, plan, interval }) {
  return plan ? `${name}, ${interval}` : name;
}

function openReceipt(purchase) {
  const rows = [
    ["Account", `${purchase.account}, ${location.host}`],
    ["Purchase", idWithCopy(purchase.id)],
    ["Paid", time(purchase.paid_at, formatMoment(purchase.paid_at))],
    ["What", nameOf(purchase)],
    ["Credits", `${formatCredits(purchase.credits)}${purchase.plan ? " a month" : ""}`],
    ["Price", `${formatMoney(purchase.price)} (${purchase.currency})`],
    purchase.refunded > 0 && ["Returned", formatMoney(purchase.refunded)],
    purchase.taken_back > 0 && ["Taken back", formatCredits(purchase.taken_back)],
  ];
  openDialog("Receipt", [element("dl", { class: "pairs" }, rows.filter(Boolean).map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])), element("p", { class: "row unprinted" }, element("button", { type: "button", onclick: () => print() }, icon("print"), "Print"))]);
}
