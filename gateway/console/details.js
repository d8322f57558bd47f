// A generation in full: what was asked for, what happened when, its outputs, its receipt, and the request to repeat it.
// Shown by its page, and by a dialog that has the page's address.

import { get, post } from "./api.js";
import { formatExact } from "./amounts.js";
import { copyButton, generationPath, idWithCopy } from "./copying.js";
import { openDialog } from "./dialog.js";
import { element, icon, show, showError } from "./dom.js";
import { hearing, on } from "./live.js";
import { againLink, downloadLink, picture } from "./outputs.js";
import { receiptOf } from "./receipts.js";
import { stepsOf } from "./timeline.js";
import { merge } from "./updates.js";
import { MARKS, STATES, chargeOf, hasEnded, settingName, settingValue } from "./words.js";

const LONG_PROMPT = 280;
const PROMPT_START = 140;
const POLL_MS = 5000; // for operators, who are told nothing of an account's generations

/** A generation that follows its events. `heading` is the tag of the sections' headings. */
export class Details {
  #generation;
  #names;
  #operator;
  #heading;
  #receipt = null;
  #stops = [];

  constructor(generation, names, { operator = false, heading = "h3" } = {}) {
    this.#generation = generation;
    this.#names = names;
    this.#operator = operator;
    this.#heading = heading;
    this.root = element("div", { class: "stack details", "data-id": generation.id });
    this.#draw();
    this.#readReceipt();
    this.#follow();
  }

  /** Stop following. */
  stop() {
    for (const stop of this.#stops) stop();
  }

  #follow() {
    const id = this.#generation.id;
    const again = () => this.#readAgain().catch(showError);
    if (this.#operator) {
      const timer = setInterval(() => hasEnded(this.#generation) || again(), POLL_MS);
      this.#stops.push(() => clearInterval(timer));
    }
    this.#stops.push(
      on("generation", (changes) => changes.id === id && this.#take(changes)),
      on("output", ({ generation }) => generation === id && again()),
      on("again", again),
    );
  }

  async #readAgain() {
    this.#take(await get(`/v1/generations/${this.#generation.id}`));
    showError(null);
  }

  #take(changes) {
    const before = JSON.stringify(this.#generation);
    merge(this.#generation, changes);
    if (JSON.stringify(this.#generation) === before) return;
    this.#draw();
    this.#readReceipt();
  }

  async #readReceipt() {
    try {
      this.#receipt = receiptOf(await get(`/v1/generations/${this.#generation.id}/receipt`), this.#heading);
    } catch (error) {
      this.#receipt = element("p", { class: "wrong" }, error.message);
    }
    show(this.root.querySelector(".receipt"), this.#receipt);
  }

  #draw() {
    const generation = this.#generation;
    show(
      this.root,
      this.#head(generation),
      outputsOf(generation),
      element("div", { class: "halves" }, this.#section("Timeline", stepsOf(generation)), this.#section("Request", this.#facts(generation))),
      element("section", { class: "panel stack receipt" }, this.#receipt ?? element("p", { class: "waits" }, "Receipt…")),
      !generation.withheld && repeatOf(generation),
    );
  }

  #section(title, body) {
    return element("section", { class: "panel stack tight" }, element(this.#heading, {}, title), body);
  }

  #head(generation) {
    const open = !hasEnded(generation);
    const stop = open && !this.#operator && element("button", { type: "button", class: "small", "aria-disabled": generation.cancel_requested && "true", onclick: () => this.#cancel() }, icon("cancel"), "Cancel");
    return element(
      "div",
      { class: "row apart" },
      element("p", { class: "row" }, element("span", { class: `badge ${MARKS[generation.status] ?? "accent"}` }, STATES[generation.status]), element("strong", { class: "model-name" }, this.#names.get(generation.model) ?? generation.model), element("span", { class: "quiet-text" }, chargeOf(generation))),
      element("p", { class: "row unprinted" }, stop, !this.#operator && againLink(generation), element("button", { type: "button", class: "small", onclick: () => print() }, icon("print"), "Print receipt")),
    );
  }

  #facts(generation) {
    const settings = Object.entries(generation.settings).map(([name, value]) => [settingName(name), settingValue(value)]);
    const named = Object.entries({ ...generation.tags, ...generation.metadata });
    const rows = [
      (generation.prompt || generation.withheld) && ["Prompt", generation.withheld ? element("span", { class: "quiet-text" }, "not shown to your role") : promptOf(generation.prompt)],
      ["Id", idWithCopy(generation.id)],
      this.#operator && ["Account", idWithCopy(generation.account)],
      generation.key && ["API key", element("code", {}, generation.key)],
      generation.member && ["Member", element("code", {}, generation.member)],
      ...settings,
      ["Outputs", String(generation.outputs_requested)],
      ...(generation.inputs ?? []).map(({ kind, url }) => [`Input ${kind}`, url ? element("a", { href: url, rel: "noreferrer" }, url) : "uploaded"]),
      ...named.map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
    ];
    return element("dl", { class: "facts" }, rows.filter(Boolean).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  }

  async #cancel() {
    if (this.#generation.cancel_requested) return;
    try {
      await hearing(async () => this.#take(await post(`/v1/generations/${this.#generation.id}/cancel`, {})));
    } catch (error) {
      showError(error);
    }
  }
}

/** Open a generation in a dialog, with the address of its page. `neighbour(id, step)` is the one beside it in the list. */
export function openGeneration(generation, names, neighbour) {
  const body = element("div");
  const dialog = openDialog("", body, { wide: true });
  let details = null;
  const fill = (shown) => {
    details?.stop();
    details = new Details(shown, names);
    dialog.querySelector("h2").textContent = names.get(shown.model) ?? shown.model;
    show(body, details.root, element("p", { class: "row apart unprinted" }, step(shown, -1, "Newer"), step(shown, 1, "Older")));
    dialog.scrollTop = 0;
  };
  const step = (shown, by, text) => {
    const next = neighbour(shown.id, by);
    const go = () => {
      history.replaceState(null, "", generationPath(next.id));
      fill(next);
      dialog.querySelector("h2").focus();
    };
    return next ? element("button", { type: "button", class: "small", onclick: go }, text) : element("span");
  };
  history.pushState(null, "", generationPath(generation.id));
  fill(generation);
  const leave = () => dialog.close();
  addEventListener("popstate", leave);
  dialog.addEventListener("close", () => {
    details.stop();
    removeEventListener("popstate", leave);
    if (location.pathname.startsWith(generationPath(""))) history.back(); // closed by its button, not by the browser's
  });
}

function outputsOf(generation) {
  const shown = generation.outputs.filter((output) => output.url);
  if (!shown.length) return generation.outputs_deleted && element("p", { class: "quiet-text" }, "The outputs were deleted when their retention period ended.");
  return element(
    "div",
    { class: "outputs" },
    shown.map((output) => element("figure", { class: "stack tight" }, picture(generation, output, { controls: true }), element("figcaption", { class: "row apart small quiet-text" }, sizeOf(output), downloadLink(generation, output)))),
  );
}

function sizeOf({ width, height, duration_seconds: seconds, bytes }) {
  return [width && `${width}×${height}`, seconds && `${formatExact(seconds)} s`, `${Math.ceil(bytes / 1024).toLocaleString("en-US")} KB`].filter(Boolean).join(" · ");
}

function promptOf(prompt) {
  const copy = copyButton(prompt, "the prompt");
  if (prompt.length <= LONG_PROMPT) return [prompt, " ", copy];
  return element("details", {}, element("summary", {}, `${prompt.slice(0, PROMPT_START)}… `, element("span", { class: "hint" }, `${prompt.length.toLocaleString("en-US")} characters`)), element("p", {}, prompt), copy);
}

/** The body of POST /v1/generations that asks for the same again. */
function bodyOf({ tool, model, prompt, settings, outputs_requested: outputs, inputs, metadata, tags }) {
  const given = (inputs ?? []).map(({ kind, url }) => ({ kind, url: url ?? "upload:…" }));
  const filled = (named) => named && Object.keys(named).length > 0;
  return { tool, model, prompt, settings, outputs, ...(given.length && { inputs: given }), ...(filled(metadata) && { metadata }), ...(filled(tags) && { tags }) };
}

function repeatOf(generation) {
  const json = JSON.stringify(bodyOf(generation), null, 2);
  const curl = [`curl ${location.origin}/v1/generations`, `-H "Authorization: Bearer $FAREBOX_KEY"`, `-H "Content-Type: application/json"`, `-d '${json.replaceAll("'", `'\\''`)}'`].join(" \\\n  ");
  const sample = (title, text) => [element("p", { class: "row apart" }, element("span", { class: "label" }, title), copyButton(text, `the request as ${title}`, "Copy")), element("pre", { tabindex: "0", role: "region", "aria-label": `Request as ${title}` }, text)];
  return element("details", { class: "panel repeat unprinted" }, element("summary", {}, "Request as JSON and curl"), sample("JSON", json), sample("curl", curl));
}
