// Outputs that are no pictures: a player for audio, a text with a button that copies it. Loaded when there is one.

import { copyButton } from "./copying.js";
import { element, icon, show } from "./dom.js";
import { shortPrompt } from "./words.js";

/**
 * Draw in `place` what there is to see of an output, and with `controls` what one can do with it: hear or copy it. Null:
 * only that.
 */
export async function drawOther(place, path, generation, { content_type: type, url }, controls) {
  const read = async () => (await fetch(path)).text();
  const seen = controls !== null;
  if (type.startsWith("text/")) show(place, seen && element("pre", { class: "words" }, await read()), controls !== false && copyButton(read, "the text", "Copy"));
  else if (controls !== false && type.startsWith("audio/")) {
    const player = element("audio", { src: url, controls: true, preload: "metadata", "aria-label": shortPrompt(generation) });
    player.style.width = "100%"; // not in the style sheet, which every page loads
    show(place, player);
  }
  else if (seen) {
    place.className = "nothing";
    show(place, icon(type.startsWith("audio/") ? "play" : "download"));
  }
}
