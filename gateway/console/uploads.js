// Input images from this computer: uploaded first, then referenced in the request by their URLs.

import { newKey, post } from "./api.js";
import { announce, byId, element, icon, show } from "./dom.js";

/**
 * The picker, and the uploads: `draft.files`, their URLs in `draft.sent`. `onchange` is called when these change.
 * While an upload is in progress, the form cannot be sent: the request would lack it.
 */
export function drawUploads(draft, onchange) {
  const place = byId("uploads");
  if (place.firstChild) return; // drawn for an earlier model
  let sending = 0;
  draft.files = (draft.files ?? []).filter((file) => new Date(file.expires_at) > Date.now());
  const list = element("ul", { class: "stack", "aria-label": "Uploaded images" });
  const problem = element("p", { class: "wrong", role: "alert" });
  const pick = element("input", { type: "file", id: "files", multiple: true, accept: "image/png,image/jpeg,image/webp,image/gif,image/heic,image/heif,image/avif,.heic,.heif,.avif", onchange: send });
  show(place, element("label", { for: "files" }, "Or images from this computer ", element("span", { class: "quiet-text" }, "· up to 50 MiB")), pick, list, problem);
  byId("request").addEventListener("submit", wait, true);
  draw();

  function wait(event) {
    if (!sending) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    problem.textContent = "An image is still uploading. Try again when it is done.";
  }

  function draw() {
    show(list, draft.files.map((file) => element("li", { class: "row apart" }, `${file.name} · ${file.width} × ${file.height}`, element("button", { type: "button", class: "quiet small", "aria-label": `Remove ${file.name}`, onclick: () => remove(file) }, icon("close")))));
    draft.sent = draft.files.map((file) => file.url).join(" ");
    list.hidden = draft.files.length === 0;
    onchange();
  }

  function remove(file) {
    draft.files.splice(draft.files.indexOf(file), 1);
    draw();
    pick.focus();
  }

  async function send() {
    const chosen = [...pick.files];
    pick.value = ""; // so that the same file can be chosen again
    problem.textContent = "";
    sending += chosen.length;
    for (const file of chosen) {
      announce(`Uploading ${file.name}`);
      try {
        const { url, width, height, expires_at } = await post("/v1/uploads", file, { once: newKey() });
        draft.files.push({ url, width, height, expires_at, name: file.name });
        announce(`${file.name} uploaded`);
      } catch (error) {
        problem.textContent = `${file.name}: ${error.message}`;
      }
      sending -= 1;
      draw();
    }
  }
}
