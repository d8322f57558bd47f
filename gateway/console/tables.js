// Tables with row headers.

import { byId, element } from "./dom.js";

/**
 * A table. `heads` are texts or `<th>`s; columns from `numbers` on are numeric; `rows` and `foot` are `<tr>`s, `rows`
 * optionally in `<tbody>`s. With `cards`, each row is a card on a narrow screen: every value after its column's name.
 */
export function table(heads, rows, { foot, numbers = 1, cards = false, ...properties } = {}) {
  const head = (text, index) => (text instanceof Element ? text : element("th", { scope: "col", class: index >= numbers && !cards && "amount" }, text));
  const bodies = [rows].flat()[0]?.tagName === "TBODY" ? rows : element("tbody", {}, rows);
  const made = element("table", properties, element("thead", {}, element("tr", {}, heads.map(head))), bodies, foot && element("tfoot", {}, foot));
  return cards ? asCards(made) : made;
}

/**
 * A table of things, each a card on a narrow screen. `columns` are `[name, cell(one), isAmount]`, the first one the row's
 * header; `none` is said if there are none; `of(one)` has a row's properties. Without anything to press, there is no
 * column "Actions".
 */
export function records(all, things, none, of = () => ({})) {
  const columns = all.filter(([name, cell]) => name !== "Actions" || things.some((one) => cell(one)));
  const heads = columns.map(([name, , isAmount]) => (isAmount ? amountHead(name) : name));
  const [[, head], ...others] = columns;
  const whole = (content) => (Array.isArray(content) ? element("div", {}, content) : content); // one thing beside its name
  const row = (one) => line(head(one), others.map(([, cell, isAmount]) => (isAmount ? cell(one) : plainCell(whole(cell(one))))), of(one));
  return table(heads, things.length ? things.map(row) : noLines(columns.length, none), { cards: true });
}

/**
 * Heads that sort when pressed. `columns` are `[id, name, isAmount]`; `order` is `{by, down}`, `onsort` gets the next one,
 * and draws the table `name` anew.
 */
export function sortableHeads(columns, order, onsort, name = "sort") {
  return columns.map(([id, text, isAmount]) => {
    const down = order.by === id ? order.down : null;
    const head = `${name}-${id}`;
    const press = () => {
      onsort({ by: id, down: down === false });
      byId(head).focus();
    };
    return element("th", { scope: "col", class: isAmount && "amount", "aria-sort": down === null ? "none" : down ? "descending" : "ascending" }, element("button", { type: "button", class: "sort", id: head, onclick: press }, text));
  });
}

/** Sorted copies: texts alphabetically, numbers by size; stable. */
export function sorted(things, { by, down }) {
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
  return things.toSorted((a, b) => (down ? -1 : 1) * compare(a[by], b[by]));
}

/** The head of a numeric column. */
export function amountHead(text) {
  return element("th", { scope: "col", class: "amount" }, text);
}

/** A cell that is no amount. */
export function plainCell(...content) {
  return element("td", {}, content);
}

/** What is not displayed as a table is none for screen readers either, unless its roles say so. */
function asCards(made) {
  const heads = [...made.tHead.rows[0].cells].map((cell) => cell.textContent);
  made.classList.add("table-cards");
  made.setAttribute("role", "table");
  for (const row of made.rows) {
    row.setAttribute("role", "row");
    [...row.cells].forEach((cell, index) => {
      cell.setAttribute("role", cell.tagName === "TD" ? "cell" : cell.scope === "row" ? "rowheader" : "columnheader");
      if (cell.scope !== "col" && cell.colSpan === 1) cell.dataset.head = heads[index];
    });
  }
  return made;
}

/** A row: its header, then its cells. Texts are amounts; `<td>`s are used as they are. */
export function line(head, cells, properties) {
  const cell = (content) => (content?.tagName === "TD" ? content : element("td", { class: "amount" }, content));
  return element("tr", properties, element("th", { scope: "row" }, head), cells.map(cell));
}

/** A row that says why there are no others. */
export function noLines(columns, text) {
  return element("tr", {}, element("td", { colspan: columns, class: "quiet-text" }, text));
}
