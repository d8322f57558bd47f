// The journal on an account's page: by kind and date, older pages, as CSV.

import { get } from "./api.js";
import { choice, field } from "./acts.js";
import { element, show, showError } from "./dom.js";
import { entriesTable } from "./receipts.js";
import { KINDS } from "./words.js";

const AT_ONCE = 20;
const PAGES_MAX = 20; // of one kind: so far back, then "Show older" goes on from there

/** The journal of an account, from the entries that it came with. */
export class Journal {
  constructor({ id, journal }) {
    this.account = id;
    this.entries = journal;
    this.next = journal.length ? String(journal.at(-1).id) : null;
    this.list = element("div", {});
    this.older = element("button", { type: "button", onclick: () => this.#read(false).catch(showError) }, "Show older");
    this.form = element("form", { class: "filters" }, field("Kind", choice("kind", [["", "All"], ...Object.entries(KINDS)], "")), field("From", element("input", { name: "from", type: "date" })), field("To", element("input", { name: "to", type: "date" })));
    this.form.addEventListener("change", () => this.#read(true).catch(showError));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.root = element("section", { class: "panel flush", "aria-labelledby": "journal-heading" }, element("h2", { id: "journal-heading" }, "Journal"), this.form, this.list, element("p", { class: "row more" }, this.older));
    this.#draw();
  }

  /** Read a page more, or anew after another filter. */
  async #read(anew) {
    const { kind, from, to } = Object.fromEntries(new FormData(this.form));
    const turn = (this.turn = (this.turn ?? 0) + 1);
    let next = anew ? undefined : this.next;
    const found = anew ? [] : [...this.entries];
    const wanted = found.length + AT_ONCE;
    const end = to && new Date(Date.parse(`${to}T00:00:00`) + 86_400_000).toISOString();
    for (let page = 0; page < PAGES_MAX && found.length < wanted && next !== null; page++) {
      const read = await get("/v1/journal", { account: this.account, limit: kind ? 100 : AT_ONCE, before: next, created_after: from && new Date(`${from}T00:00:00`).toISOString(), created_before: end });
      if (turn !== this.turn) return;
      found.push(...read.data.filter((entry) => !kind || entry.kind === kind));
      next = read.next;
    }
    showError(null);
    this.entries = found;
    this.next = next;
    this.#draw();
  }

  #draw() {
    show(this.list, this.entries.length ? entriesTable(this.entries) : element("p", { class: "quiet-text heading" }, "No such entries."));
    this.older.hidden = this.next === null;
  }
}
