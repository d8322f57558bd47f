// A generation's outputs as pictures, players, texts and links. Shared by its card and its details.

import { element, icon, retried, showError } from "./dom.js";
import { shortPrompt } from "./words.js";

/** One output to look at: a picture, the text itself, or a mark for what has neither. */
export function picture(generation, output, { controls = false } = {}) {
  const { content_type: type, url: src, width, height } = output;
  if (type.startsWith("video/")) {
    return element("video", { src, controls, loop: true, muted: true, playsinline: true, preload: "metadata", "aria-label": shortPrompt(generation), width, height });
  }
  if (width) return element("img", { src, alt: shortPrompt(generation), loading: "lazy", decoding: "async", class: height > width && "tall", width, height });
  return other(generation, output, controls);
}

/** What one can do with an output that is no picture: hear it, or copy it. */
export function controlOf(generation, output) {
  return !output.width && other(generation, output, null);
}

/** A link that saves an output; through this host, so that the browser uses the file name that it sends. */
export function downloadLink(generation, output, text = "Download") {
  return element("a", { class: "button small", href: pathOf(generation, output), download: true, "data-action": `download-${output.index}`, "aria-label": `Download output ${output.index + 1}: ${shortPrompt(generation)}` }, icon("download"), text);
}

/** A link that opens the Generate page with the same request; it gets a new quote there. */
export function againLink(generation) {
  return element("a", { class: "button small", href: `/?again=${generation.id}`, "data-action": "again", "aria-label": `Run again: ${shortPrompt(generation)}` }, icon("again"), "Run again");
}

function pathOf(generation, output) {
  return `/v1/generations/${generation.id}/outputs/${output.index}`;
}

function other(generation, output, controls) {
  const place = element("div");
  retried(() => import("./players.js")).then(({ drawOther }) => drawOther(place, pathOf(generation, output), generation, output, controls)).catch(showError);
  return place;
}
