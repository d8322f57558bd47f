// A generation's details, in a dialog: its outputs, its request, and every movement of its credits.

import { get } from "./api.js";
import { counted, formatChange, formatCredits, formatExact } from "./amounts.js";
import { openDialog } from "./dialog.js";
import { element, show } from "./dom.js";
import { againLink, downloadLink, picture } from "./outputs.js";
import { linesTable } from "./quotes.js";
import { time } from "./times.js";
import { BUCKETS, KINDS, costOf, settingName, settingValue } from "./words.js";

/** Open the dialog of a generation; `names` has the models' names. */
export async function openGeneration(generation, names) {
  const receipt = element("div", { class: "stack" }, element("p", { class: "waits" }, "The receipt…"));
  openDialog(names.get(generation.model) ?? generation.model, [outputsOf(generation), requestOf(generation), receipt], { wide: true });
  try {
    show(receipt, receiptOf(await get(`/v1/generations/${generation.id}/receipt`)));
  } catch (error) {
    show(receipt, element("p", { class: "wrong" }, error.message));
  }
}

function outputsOf(generation) {
  const shown = generation.outputs.filter((output) => output.url);
  if (!shown.length) {
    const why = generation.outputs_deleted ? "The outputs were deleted when their retention period ended." : (generation.error?.message ?? "Nothing was delivered.");
    return element("p", { class: "quiet-text" }, why);
  }
  return element(
    "div",
    { class: "outputs" },
    shown.map((output) => element("figure", { class: "stack tight" }, picture(generation, output, { controls: true }), element("figcaption", { class: "row apart small quiet-text" }, sizeOf(output), downloadLink(generation, output)))),
  );
}

function sizeOf({ width, height, duration_seconds: seconds, bytes }) {
  return [`${width}×${height}`, seconds && `${formatExact(seconds)} s`, `${Math.ceil(bytes / 1024).toLocaleString("en-US")} KB`].filter(Boolean).join(" · ");
}

function requestOf(generation) {
  const settings = Object.entries(generation.settings).map(([name, value]) => [settingName(name), settingValue(value)]);
  const rows = [["Prompt", generation.prompt], ...settings, ["Outputs", String(generation.outputs_requested)], ["Made", time(generation.created_at)], ["Id", element("code", {}, generation.id)]];
  return [element("dl", { class: "facts" }, rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))), element("p", { class: "row" }, againLink(generation))];
}

function receiptOf(receipt) {
  const shares = receipt.allocation.map(({ bucket, credits }) => `${formatCredits(credits)} ${BUCKETS[bucket].toLowerCase()}`);
  return [
    element("h3", {}, "Receipt"),
    receipt.error && element("p", {}, receipt.error.message),
    element("p", { class: "cost" }, `${costOf({ ...receipt, credits: receipt, outputs: { length: receipt.outputs_delivered } })}${shares.length ? ` (held from ${shares.join(", ")})` : ""}`),
    linesTable(receipt.lines, receipt.credits, `Price of ${counted(receipt.outputs_requested, "output")}`),
    receipt.differences.map(({ output, message }) => element("p", { class: "hint" }, `Output ${output + 1}. ${message}`)),
    element("h3", {}, "All entries"),
    entriesTable(receipt.entries),
    element("p", { class: "hint mono" }, receipt.rate_card),
  ];
}

/** Journal entries as a table. */
export function entriesTable(entries) {
  const columns = ["When", "What", "Credits", "Held", "Available after"];
  return element(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Credit entries" },
    element(
      "table",
      {},
      element("thead", {}, element("tr", {}, columns.map((column, index) => element("th", { scope: "col", class: index > 1 && "amount" }, column)))),
      element("tbody", {}, entries.map(entryRow)),
    ),
  );
}

function entryRow(entry) {
  const buckets = Object.keys(entry.buckets).map((bucket) => BUCKETS[bucket].toLowerCase());
  const what = [KINDS[entry.kind], buckets.length > 0 && element("span", { class: "quiet-text" }, ` · ${buckets.join(", ")}`), entry.reason && element("span", { class: "hint" }, ` ${entry.reason}`)];
  const amounts = [formatChange(entry.credits), formatChange(entry.held), formatCredits(entry.available_after)];
  return element("tr", {}, element("td", {}, time(entry.at)), element("td", {}, what), amounts.map((amount) => element("td", { class: "amount" }, amount)));
}
