// The samples at /docs: they use this page's origin, and have a copy button.

import { element, icon, show } from "./dom.js";

const { server } = document.getElementById("content").dataset;

for (const sample of document.querySelectorAll(".samples > pre")) {
  sample.textContent = sample.textContent.replaceAll(server, location.origin);
  const title = sample.previousElementSibling;
  const copy = element("button", { type: "button", class: "small", "aria-label": `Copy the ${title.textContent} sample` }, icon("copy"), "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(sample.textContent);
      show(copy, icon("check"), "Copied");
    } catch {
      getSelection().selectAllChildren(sample); // not a secure context, or not allowed
    }
  });
  const row = element("div", { class: "row apart" });
  title.replaceWith(row);
  row.append(title, copy);
}
