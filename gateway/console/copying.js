// Ids and texts to copy, and links to generations: the same wherever one is shown.

import { openDialog } from "./dialog.js";
import { announce, element, icon, show } from "./dom.js";

const BACK_AFTER_MS = 2000;
const SHOWN_CHARACTERS = 12;

/** A button that copies `text` (or what this function returns then); `what` names it for screen readers ("the id"), `label` is shown beside the icon. */
export function copyButton(text, what, label = "") {
  const plain = [icon("copy"), label];
  const button = element("button", { type: "button", class: label ? "small copy" : "quiet icon small copy", "aria-label": `Copy ${what}`, title: `Copy ${what}`, onclick: () => press() }, plain);
  const press = async () => {
    const copied = await copyText(typeof text === "string" ? text : await text());
    show(button, icon(copied ? "check" : "warning"), copied ? label && "Copied" : "Select the text");
    if (copied) button.setAttribute("aria-label", "Copied");
    announce(copied ? "Copied" : "Not allowed here: select the text.");
    setTimeout(() => {
      show(button, plain);
      button.setAttribute("aria-label", `Copy ${what}`);
    }, BACK_AFTER_MS);
  };
  return button;
}

/** An id with a button to copy it. */
export function idWithCopy(id, what = "the id") {
  return element("span", { class: "id" }, element("code", {}, id), copyButton(id, what));
}

/** The page of a generation. */
export function generationPath(id) {
  return `/generations/${id}`;
}

/** A link to the page of a generation, from anywhere that shows its id. */
export function generationLink(id, text = element("code", {}, `${id.slice(0, SHOWN_CHARACTERS)}…`)) {
  return element("a", { href: generationPath(id), title: id, "aria-label": `Generation ${id}` }, text);
}

/** Show a text that cannot be read again, with a button that copies it. Without one, its answer was lost. */
export function openOnce(title, about, text, lost) {
  const shown = text ? [element("p", {}, about), element("p", { class: "row once" }, element("code", {}, text), copyButton(text, title.toLowerCase(), "Copy"))] : element("p", {}, lost);
  openDialog(title, shown);
}

/** Whether it was copied: a browser refuses where the page is neither from https nor from this machine. */
function copyText(text) {
  return navigator.clipboard ? navigator.clipboard.writeText(text).then(() => true, () => false) : false;
}
