// The samples at /docs: they use this page's origin, and have a copy button.

import { copyButton } from "./copying.js";
import { element } from "./dom.js";

const { server } = document.getElementById("content").dataset;

for (const sample of document.querySelectorAll(".samples > pre")) {
  sample.textContent = sample.textContent.replaceAll(server, location.origin);
  const title = sample.previousElementSibling;
  const row = element("div", { class: "row apart" });
  title.replaceWith(row);
  row.append(title, copyButton(sample.textContent, `the ${title.textContent} sample`, "Copy"));
}
