// The page at /docs: a search over its calls, and samples that use this page's origin and can be copied.

import { copyButton } from "./copying.js";
import { byId, element } from "./dom.js";
import { startPage } from "./shell.js";

const SEARCHED = "h2, h3, h3 + p, :scope > dl > dt, td";

const search = byId("search");
const parts = [...byId("reference").querySelectorAll("article, tbody tr")].map((root) => ({
  root,
  text: [root.id, root.closest("section").firstElementChild, ...root.querySelectorAll(SEARCHED)].map((one) => one.textContent ?? one).join(" ").toLowerCase(),
  link: root.id && document.querySelector(`nav a[href="#${root.id}"]`)?.parentElement,
}));

makeSamples();
search.value = new URLSearchParams(location.search).get("search") ?? "";
search.addEventListener("input", () => {
  history.replaceState(null, "", search.value ? `?${new URLSearchParams({ search: search.value })}` : location.pathname);
  filter();
});
addEventListener("hashchange", showTarget);
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input, textarea, select")) return;
  event.preventDefault();
  search.focus();
});
if (search.value) filter();
await startPage(() => {});

/** Show what has all the words that are searched for: calls, errors and shapes, and the sections that have any. */
function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const { root, text, link } of parts) {
    root.hidden = !words.every((word) => text.includes(word));
    if (link) link.hidden = root.hidden;
  }
  for (const group of document.querySelectorAll("#reference > section, nav[aria-label=Calls] ul")) {
    group.hidden = words.length > 0 && !group.querySelector(":is(article, tbody tr, li):not([hidden])");
    if (group.tagName === "UL") group.previousElementSibling.hidden = group.hidden;
  }
  const calls = parts.filter(({ link }) => link);
  byId("count").textContent = words.length ? `${calls.filter(({ root }) => !root.hidden).length} of ${calls.length} calls` : "";
}

/** A link may lead to what the search has hidden. */
function showTarget() {
  const target = byId(location.hash.slice(1));
  if (!target?.hidden) return;
  search.value = "";
  filter();
  target.scrollIntoView();
}

function makeSamples() {
  const { server } = byId("api").dataset;
  for (const sample of document.querySelectorAll(".samples > pre")) {
    sample.textContent = sample.textContent.replaceAll(server, location.origin);
    const title = sample.previousElementSibling;
    const row = element("div", { class: "row apart" });
    title.replaceWith(row);
    row.append(title, copyButton(sample.textContent, `the ${title.textContent} sample`, "Copy"));
  }
}
