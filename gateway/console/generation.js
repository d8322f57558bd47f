// The page of one generation, at /generations/{id}: the address of every id in the console.

import { get } from "./api.js";
import { Details } from "./details.js";
import { byId, show, showError } from "./dom.js";
import { on } from "./live.js";
import { session } from "./shell.js";

const id = location.pathname.split("/").at(-1);
const who = await session;
let shown = false;

await read();
on("again", () => shown || read()); // what is shown follows by itself

async function read() {
  try {
    const [card, generation] = await Promise.all([get("/v1/rate-card"), get(`/v1/generations/${id}`)]);
    const names = new Map(card.models.map((model) => [model.id, model.name]));
    document.title = `${names.get(generation.model) ?? generation.model} · Farebox`;
    show(byId("generation"), new Details(generation, names, { operator: who.scope !== "account", heading: "h2" }).root);
    shown = true;
    showError(null);
  } catch (error) {
    if (error.status !== 404 && error.status !== 403) showError(error);
    else showMissing(error);
  }
}

function showMissing(error) {
  byId("missing").hidden = false;
  byId("why").textContent = error.message;
}
