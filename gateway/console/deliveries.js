// One webhook's deliveries: each event with its tries, newest first.

import { get, post } from "./api.js";
import { counted } from "./amounts.js";
import { generationLink } from "./copying.js";
import { announce, byId, element, icon, isPressed, redraw, show, showError } from "./dom.js";
import { records } from "./tables.js";
import { formatUntil, time } from "./times.js";
import { openRequest } from "./webhook-dialogs.js";

const SHOWN_AT_ONCE = 25;
const PAGES_AT_ONCE = 5; // of a hundred, of one state
const READ_EVERY_MS = 10_000;
const STATES = { pending: ["warn", "clock"], delivered: ["good", "check"], failed: ["bad", "warning"] };

/** The table below the webhooks, for one of them at a time: `webhook`, null for none. */
export class Deliveries {
  webhook = null;
  #found = [];
  #next = null;

  constructor() {
    byId("more").addEventListener("click", () => this.read(this.#next).catch(showError));
    byId("state").addEventListener("change", () => this.read().catch(showError));
    byId("resend-failed").addEventListener("click", () => this.#resendFailed());
    setInterval(() => this.#isWaiting() && this.read().catch(showError), READ_EVERY_MS);
  }

  /** Whether something may change by itself in what is shown, and nothing is being read or pressed there. */
  #isWaiting() {
    const pending = this.#found.length <= SHOWN_AT_ONCE && this.#found.some(({ status }) => status === "pending");
    return pending && !document.hidden && !isPressed() && !byId("table").querySelector("details[open]");
  }

  /** Show the deliveries of `webhook`, titled `name`; null: none. */
  async show(webhook, name) {
    this.webhook = webhook;
    this.#next = null;
    byId("more").hidden = true;
    byId("deliveries").hidden = !webhook;
    byId("deliveries-url").textContent = name ?? "";
    if (!webhook) return;
    show(byId("table"), element("p", { class: "waits inset" }, "…"));
    await this.read();
  }

  /** Update the webhook's state: whether it is paused determines the next try. */
  know(webhook) {
    if (webhook?.id !== this.webhook?.id) return;
    const moved = webhook?.status !== this.webhook?.status;
    this.webhook = webhook;
    if (moved) this.#draw();
  }

  /** Read the newest page, or the one after `before`. */
  async read(before) {
    const asked = this.webhook;
    if (!asked) return;
    const state = byId("state").value;
    const matching = [];
    let next = before;
    for (let page = 0; page < (state ? PAGES_AT_ONCE : 1) && matching.length < SHOWN_AT_ONCE && next !== null; page++) {
      const read = await get(`/v1/webhooks/${asked.id}/deliveries`, { limit: state ? 100 : SHOWN_AT_ONCE, before: next });
      matching.push(...read.data.filter(({ status }) => !state || status === state));
      next = read.next;
    }
    if (asked.id !== this.webhook?.id || state !== byId("state").value || (before && before !== this.#next)) return; // another was chosen meanwhile, or pressed twice
    this.#found = before ? [...this.#found, ...matching] : matching;
    this.#next = next;
    this.#draw();
  }

  #draw() {
    byId("more").hidden = this.#next === null;
    const failed = this.#found.filter(({ status }) => status === "failed").length;
    byId("resend-failed").hidden = failed === 0;
    byId("resend-failed").textContent = `Resend ${failed} failed`;
    const columns = [
      ["Event", eventOf],
      ["State", stateOf],
      ["Tries", triesOf],
      ["Next attempt", (delivery) => this.#nextOf(delivery)],
      ["Created", ({ created_at: at }) => time(at)],
      ["Actions", (delivery) => this.#buttonsOf(delivery)],
    ];
    redraw(byId("table"), records(columns, this.#found, byId("state").value ? "None in this state." : "No deliveries yet."));
  }

  #nextOf({ status, next_try_at: next }) {
    if (next) return time(next, formatUntil(next));
    return status !== "pending" ? "–" : this.webhook.status === "paused" ? "when resumed" : "after the previous event";
  }

  #buttonsOf({ id, type }) {
    const button = (text, act) => element("button", { type: "button", class: "small", "aria-label": `${text} ${type} ${id}`, onclick: ({ currentTarget }) => act(currentTarget) }, text);
    return element("span", { class: "row" }, button("View", () => this.#view(id).catch(showError)), button("Resend", (pressed) => this.#resend(id, pressed)));
  }

  async #view(id) {
    openRequest(await get(`/v1/webhooks/${this.webhook.id}/deliveries/${id}/request`));
  }

  async #resendFailed() {
    const failed = this.#found.filter(({ status }) => status === "failed").toReversed(); // oldest first, as they happened
    byId("resend-failed").disabled = true;
    try {
      for (const { id } of failed) await post(`/v1/webhooks/${this.webhook.id}/deliveries/${id}/resend`);
      showError(null);
      announce(`Resending ${counted(failed.length, "delivery", "deliveries")}`);
      await this.read();
      byId("refresh").focus();
    } catch (error) {
      showError(error);
    }
    byId("resend-failed").disabled = false;
  }

  async #resend(id, button) {
    button.disabled = true;
    try {
      const sent = await post(`/v1/webhooks/${this.webhook.id}/deliveries/${id}/resend`);
      this.#found = this.#found.map((one) => (one.id === id ? sent : one));
      showError(null);
      this.#draw();
      announce("Resending");
      byId("refresh").focus(); // what became of it, that tells
    } catch (error) {
      button.disabled = false;
      showError(error);
    }
  }
}

function eventOf({ type, generation, account, url }) {
  return [element("code", {}, type), element("div", { class: "hint mono" }, generation ? generationLink(generation, generation) : account), url && element("div", { class: "hint" }, url)];
}

function stateOf({ status, tries }) {
  const retrying = status === "pending" && tries.length > 0;
  const [kind, picture] = STATES[retrying ? "failed" : status];
  return element("span", { class: `badge ${kind}` }, icon(picture), retrying ? "retrying" : status);
}

/** "3 tries, last 503", expandable: each with its time, result and duration. */
function triesOf({ tries, tried }) {
  if (!tries.length) return "none yet";
  const said = ({ status_code: code, error }) => (code ?? error).toString().replaceAll("_", " ");
  const all = tries.toReversed().map((one) => element("li", {}, time(one.at), `: ${said(one)}, ${one.duration_ms} ms`));
  const left = tried > tries.length && element("p", { class: "hint" }, `Showing the last ${tries.length}.`);
  return element("details", {}, element("summary", {}, `${counted(tried, "try", "tries")}, last: ${said(tries.at(-1))}`), element("ol", { class: "small", reversed: true, start: tried }, all), left);
}
