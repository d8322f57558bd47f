// Tables with row headers.

import { element } from "./dom.js";

/** A table. `heads` are texts or `<th>`s; columns from `numbers` on are numeric; `rows` and `foot` are `<tr>`s, `rows` optionally in `<tbody>`s. */
export function table(heads, rows, { foot, numbers = 1, ...properties } = {}) {
  const head = (text, index) => (text instanceof Element ? text : element("th", { scope: "col", class: index >= numbers && "amount" }, text));
  const bodies = [rows].flat()[0]?.tagName === "TBODY" ? rows : element("tbody", {}, rows);
  return element("table", properties, element("thead", {}, element("tr", {}, heads.map(head))), bodies, foot && element("tfoot", {}, foot));
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
