// The journal, on its page and on an account's: by kind, generation and date, older pages, as CSV.

import { get, saveCsv, withQuery } from "./api.js";
import { element, icon, show, showError } from "./dom.js";
import { choice, field } from "./fields.js";
import { entriesTable } from "./entries.js";
import { KINDS } from "./words.js";

const AT_ONCE = 20;
const READ_MAX = 100;
const DAY_MS = 86_400_000;

/** The journal of an account, from the entries that it came with. */
export class Journal {
  constructor({ id, journal }, { addressed = false } = {}) {
    this.addressed = addressed;
    this.account = id;
    this.entries = journal;
    this.next = journal.length && journal.at(-1).id > 1 ? String(journal.at(-1).id) : null; // the first entry is 1
    this.list = element("div", {});
    this.older = element("button", { type: "button", onclick: () => this.#read(false).catch(showError) }, "Show older");
    this.form = element(
      "form",
      { class: "filters" },
      field("Kind", choice("kind", [["", "All"], ...Object.entries(KINDS)], "")),
      field("Generation", element("input", { name: "generation", placeholder: "gen_…", title: "The whole id of a generation", pattern: "gen_[0-9a-f]{2}[a-z2-7]{24}", autocomplete: "off", spellcheck: "false" })),
      field("From", element("input", { name: "from", type: "date" })),
      field("To", element("input", { name: "to", type: "date" })),
      element("button", { type: "button", onclick: () => saveCsv("/v1/journal", this.#query(), `journal-${id}.csv`).catch(showError) }, icon("download"), "CSV"),
    );
    this.form.addEventListener("change", () => this.form.reportValidity() && this.#filter());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.root = element("section", { class: "panel flush", "aria-labelledby": "journal-heading" }, element("h2", { id: "journal-heading" }, "Journal"), this.form, this.list, element("p", { class: "row more" }, this.older));
    this.#draw();
  }

  /** Read the first page, with the filters of the page's address. */
  readAnew() {
    for (const [name, value] of new URLSearchParams(location.search)) if (this.form.elements[name]) this.form.elements[name].value = value;
    return this.#read(true);
  }

  /** Read what is shown again, with what is new. */
  readNewer() {
    return this.#read(true, Math.min(READ_MAX, Math.max(AT_ONCE, this.entries.length)));
  }

  #filter() {
    if (this.addressed) history.replaceState(null, "", withQuery(location.pathname, Object.fromEntries(new FormData(this.form))));
    this.#read(true).catch(showError);
  }

  #query() {
    const { from, to, ...only } = Object.fromEntries(new FormData(this.form));
    const day = (date, ms) => date && new Date(Date.parse(`${date}T00:00:00`) + ms).toISOString();
    return { account: this.account, ...only, created_after: day(from, 0), created_before: day(to, DAY_MS) };
  }

  /** Read a page more, or anew after another filter. */
  async #read(anew, limit = AT_ONCE) {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const read = await get("/v1/journal", { ...this.#query(), limit, before: anew ? null : this.next });
    if (turn !== this.turn) return;
    showError(null);
    this.entries = anew ? read.data : [...this.entries, ...read.data];
    this.next = read.next;
    this.#draw();
  }

  #draw() {
    show(this.list, this.entries.length ? entriesTable(this.entries) : element("p", { class: "quiet-text heading" }, "No such entries."));
    this.older.hidden = this.next === null;
  }
}
