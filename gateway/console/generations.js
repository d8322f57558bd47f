// A generation as a card: its output, state and cost. Shared by Generate and Gallery.

import { post } from "./api.js";
import { counted, formatRounded } from "./amounts.js";
import { generationPath } from "./copying.js";
import { announce, element, icon, retried, show, showError } from "./dom.js";
import { hearing } from "./live.js";
import { againLink, controlOf, downloadLink, picture } from "./outputs.js";
import { formatAgo, time } from "./times.js";
import { addOutput, catchUp, merge } from "./updates.js";
import { MARKS, STATES, chargeOf, costOf, hasEnded, shortPrompt, stageOf } from "./words.js";

/** The first output as a picture or a muted video; a placeholder while there is none. */
export function preview(generation, { controls = false } = {}) {
  const shown = generation.outputs.filter((output) => output.url);
  if (!shown.length) return element("div", { class: "nothing" }, icon(hasEnded(generation) ? (generation.outputs.length ? "clock" : "cancel") : "generate"));
  return picture(generation, shown[0], { controls });
}

const SHOWN = new WeakMap(); // a card's element → the card

/** Open a generation's details in a dialog; a click that asks for a new tab or window gets the page of the link. */
async function openDetails(event, { generation, names }) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const { openGeneration } = await retried(() => import("./details.js"));
  openGeneration(generation, names, neighbour);
}

/** The generation beside this one on the page: newer at -1, older at 1. */
function neighbour(id, step) {
  const cards = [...document.querySelectorAll(".card-of-work")];
  return SHOWN.get(cards[cards.findIndex(({ dataset }) => dataset.id === id) + step])?.generation;
}

/** Insert a card from an event at its place, newest first: events of two generations may arrive in any order. */
export function showInOrder(list, { root }) {
  const older = [...list.children].find(({ dataset }) => dataset.made <= root.dataset.made);
  list.insertBefore(root, older ?? null);
}

/**
 * A card that follows its generation: `update(changes)` redraws it and announces what is new.
 * `names` has the models' names.
 */
export class Card {
  constructor(generation, names) {
    this.generation = generation;
    this.names = names;
    this.root = element("article", { class: "card-of-work", tabindex: "-1", "data-id": generation.id, "data-made": generation.created_at });
    SHOWN.set(this.root, this);
    this.draw();
  }

  update(changes) {
    const before = this.generation.status;
    merge(this.generation, changes);
    this.draw();
    if (this.generation.status !== before) announce(`${this.name}: ${hasEnded(this.generation) ? costOf(this.generation) : stageOf(this.generation)}`);
  }

  addOutput(output) {
    if (addOutput(this.generation, output)) this.draw();
  }

  get name() {
    return this.names.get(this.generation.model) ?? this.generation.model;
  }

  draw() {
    const focused = this.root.contains(document.activeElement) ? document.activeElement.dataset.action : null;
    const generation = this.generation;
    const ended = hasEnded(generation);
    this.root.dataset.status = generation.status;
    show(this.root, this.#picture(generation), element("div", { class: "text" }, this.#head(generation), ended ? this.#ending(generation) : this.#progress(generation)));
    if (focused) (this.root.querySelector(`[data-action="${focused}"]`) ?? this.root).focus();
  }

  #picture(generation) {
    const [{ content_type: type = "", duration_seconds: seconds } = {}] = generation.outputs;
    const length = type.startsWith("video/") && element("span", { class: "length" }, icon("play"), seconds && `${formatRounded(seconds)} s`);
    const more = generation.outputs.length > 1 && element("span", { class: "count" }, `1 of ${generation.outputs.length}`);
    const label = `Details: ${shortPrompt(generation)}`;
    const badge = generation.status in MARKS && generation.status !== "succeeded" && element("span", { class: `badge ${MARKS[generation.status]}` }, STATES[generation.status]);
    return element("a", { href: generationPath(generation.id), class: "picture", "data-action": "open", "aria-label": label, onclick: (event) => openDetails(event, this).catch(showError) }, preview(generation), badge, length, more);
  }

  #head(generation) {
    return [generation.prompt && element("p", { class: "prompt" }, generation.prompt), element("p", { class: "small quiet-text" }, `${this.name} · ${counted(generation.outputs_requested, "output")}`)];
  }

  #progress(generation) {
    const bar = element("progress", { max: 1, value: generation.status === "running" ? generation.progress : 0, "aria-label": "Progress" });
    const stop = element("button", { type: "button", class: "quiet small", "data-action": "cancel", "aria-disabled": generation.cancel_requested && "true", onclick: () => this.#cancel() }, icon("cancel"), "Cancel");
    return [bar, element("p", { class: "small" }, stageOf(generation)), element("p", { class: "row apart small" }, element("span", { class: "cost" }, costOf(generation)), stop)];
  }

  #ending(generation) {
    const first = !generation.outputs_deleted && generation.outputs[0];
    const saved = first && downloadLink(generation, first);
    return [
      first && first.url && controlOf(generation, first),
      generation.error ? element("p", { class: "small clamped", title: generation.error.message }, generation.error.message) : element("p", { class: "small cost" }, chargeOf(generation)),
      element("p", { class: "row apart small quiet-text" }, time(generation.created_at, formatAgo(generation.created_at)), element("span", { class: "row" }, againLink(generation), saved)),
    ];
  }

  async #cancel() {
    if (this.generation.cancel_requested) return;
    try {
      await hearing(async (heard) => this.update(catchUp(await post(`/v1/generations/${this.generation.id}/cancel`, {}), heard)));
    } catch (error) {
      showError(error);
    }
  }
}
