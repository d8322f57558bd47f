// Creates elements (text stays text, so nothing in a prompt can become markup), announcements and error notices.

import { Unreachable } from "./api.js";

const SVG = "http://www.w3.org/2000/svg";
const LOAD_AGAIN_MS = 500;

/**
 * An element. Properties that begin with `on` are listeners; `class`, `aria-…`, `data-…` and the like are attributes;
 * true sets an attribute without a value, false, null and undefined omit it. Children may be nested lists.
 */
export function element(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** The same in SVG. */
export function drawing(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

/** An icon of icons.svg, decorating a text. */
export function icon(name) {
  return drawing("svg", { "aria-hidden": "true", class: "icon" }, drawing("use", { href: `${ICONS}#${name}` }));
}

/** Replace an element's contents by `children`. */
export function show(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter((child) => child || child === 0));
  return parent;
}

/** The same for what is drawn again and again: a link or button that had the focus has it afterwards. */
export function redraw(parent, ...children) {
  const nameOf = (element) => `${element.getAttribute("href")} ${element.getAttribute("aria-label")}`;
  const focused = parent.contains(document.activeElement) && nameOf(document.activeElement);
  show(parent, ...children);
  if (focused) [...parent.querySelectorAll("a, button")].find((element) => nameOf(element) === focused)?.focus();
}

/** Whether something on the page is just being pressed: drawn anew now, it would not be clicked. */
export function isPressed() {
  return byId("main").matches(":active");
}

/** The element with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Announce something to screen readers, after the current sentence. */
export function announce(text) {
  const region = byId("announcement");
  if (region) region.textContent = text;
}

/** Show an error in a notice at the top of the page; null hides it. */
export function showError(error) {
  const notice = byId("complaint") ?? byId("connection").insertAdjacentElement("afterend", element("p", { id: "complaint", class: "notice bad", role: "alert" }));
  notice.hidden = !error;
  notice.textContent = error ? error.message : "";
  notice.toggleAttribute("data-temporary", Boolean(error?.temporary));
}

/** Hide the notice if it only said that Farebox did not respond. */
export function clearOutage() {
  if (byId("complaint")?.hasAttribute("data-temporary")) showError(null);
}

/** Show what pages keep back until it has its size (`late`): nothing jumps while a page loads. */
export function drawn() {
  delete document.documentElement.dataset.loading;
}

/** Let a form be used: it listens, and has what the URL says, which would undo what is typed before. */
export function opened(form) {
  form.inert = false;
  form.removeAttribute("aria-disabled");
}

/** Load a script when it is needed, a second time if it did not arrive. */
export async function retried(load) {
  try {
    return await load();
  } catch {
    await new Promise((resolve) => setTimeout(resolve, LOAD_AGAIN_MS));
    return load().catch(() => {
      throw new Unreachable();
    });
  }
}

const ICONS = new URL("./icons.svg", import.meta.url).pathname;

function filled(made, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== false && child !== null && child !== undefined) made.append(child);
  }
  return made;
}
