// A generation's outputs as pictures and links. Shared by its card and its details.

import { element, icon } from "./dom.js";
import { shortPrompt } from "./words.js";

const EXTENSIONS = {
  "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif",
  "video/mp4": "mp4", "video/webm": "webm", "video/quicktime": "mov",
};

/** One output. */
export function picture(generation, output, { controls = false } = {}) {
  if (output.content_type.startsWith("video/")) {
    return element("video", { src: output.url, controls, loop: true, muted: true, playsinline: true, preload: "metadata", "aria-label": shortPrompt(generation), width: output.width, height: output.height });
  }
  return element("img", { src: output.url, alt: shortPrompt(generation), loading: "lazy", decoding: "async", class: output.height > output.width && "tall", width: output.width, height: output.height });
}

/** A link that saves an output; through this host, so that the browser uses our file name. */
export function downloadLink(generation, output, text = "Download") {
  const name = `${generation.id}-${output.index}.${EXTENSIONS[output.content_type] ?? "bin"}`;
  return element("a", { class: "button small", href: `/v1/generations/${generation.id}/outputs/${output.index}`, download: name, "data-action": `download-${output.index}`, "aria-label": `Download output ${output.index + 1}: ${shortPrompt(generation)}` }, icon("download"), text);
}

/** A link that opens the Generate page with the same request; it gets a new quote there. */
export function againLink(generation) {
  return element("a", { class: "button small", href: `/?again=${generation.id}`, "data-action": "again", "aria-label": `Run again: ${shortPrompt(generation)}` }, icon("again"), "Run again");
}
