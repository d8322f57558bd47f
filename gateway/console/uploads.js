// Inputs from this computer: uploaded first, then referenced in the request by their URLs.

import { newKey, post } from "./api.js";
import { formatRounded } from "./amounts.js";
import { announce, byId, element, icon, show } from "./dom.js";

const TYPES = { image: "image/png,image/jpeg,image/webp,image/gif,image/heic,image/heif,image/avif,.heic,.heif,.avif", video: "video/mp4,video/quicktime,video/webm", audio: "audio/*,.m4a,.flac,.opus" };
const playable = new Map(); // an upload's URL → its sound, which is in this page only
let sending = 0;
let draw = null; // the list, for the model that is chosen now

byId("request")?.addEventListener("submit", wait, true);

/**
 * The picker for files of these kinds, and the uploads: `draft.files`. `names` says what the kinds are called, and
 * `onchange` is called when files come and go. While an upload is in progress, the form cannot be sent: the request would
 * lack it.
 */
export function drawUploads(draft, kinds, names, onchange) {
  draft.files = (draft.files ?? []).filter((file) => new Date(file.expires_at) > Date.now());
  const list = element("ul", { class: "stack", "aria-label": `Uploaded ${names}` });
  const problem = element("p", { class: "wrong", role: "alert" });
  const pick = element("input", { type: "file", id: "files", multiple: true, accept: kinds.map((kind) => TYPES[kind]).join(), onchange: send });
  show(byId("uploads"), element("label", { for: "files" }, `Or ${names} from this computer `, element("span", { class: "quiet-text" }, "· up to 50 MiB")), pick, list, problem);
  draw = () => {
    const shown = draft.files.filter(({ kind }) => kinds.includes(kind));
    show(list, shown.map((file) => element("li", { class: "row apart" }, said(file), element("button", { type: "button", class: "quiet small", "aria-label": `Remove ${file.name}`, onclick: () => remove(file) }, icon("close")), playable.has(file.url) && player(file))));
    list.hidden = shown.length === 0;
    onchange();
  };
  draw();

  function remove(file) {
    URL.revokeObjectURL(playable.get(file.url));
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
        const { url, kind, width, height, duration_seconds: seconds, expires_at } = await post("/v1/uploads", file, { once: newKey() });
        if (!kinds.includes(kind)) throw new Error(`This model takes no ${kind} as input.`);
        if (kind === "audio") playable.set(url, URL.createObjectURL(file));
        draft.files.push({ url, kind, width, height, seconds, expires_at, name: file.name });
        announce(`${file.name} uploaded`);
      } catch (error) {
        problem.textContent = `${file.name}: ${error.message}`;
      }
      sending -= 1;
      draw();
    }
  }
}

function wait(event) {
  if (!sending) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  show(byId("uploads").querySelector(".wrong"), "A file is still uploading. Try again when it is done.");
}

function said({ name, width, height, seconds }) {
  return [name, width && `${width} × ${height}`, seconds && `${formatRounded(seconds)} s`].filter(Boolean).join(" · ");
}

function player({ name, url }) {
  const made = element("audio", { src: playable.get(url), controls: true, preload: "metadata", "aria-label": name });
  made.style.width = "100%"; // not in the style sheet, which every page loads
  return made;
}
