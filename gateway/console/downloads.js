// Files to save.

import { withQuery } from "./api.js";
import { element } from "./dom.js";

const KEPT_MS = 10_000;

/** Save what a path answers as CSV, as `name`. */
export async function saveCsv(path, query, name) {
  const answer = await fetch(withQuery(path, query), { headers: { Accept: "text/csv" } });
  if (!answer.ok) throw new Error(`The export failed (${answer.status}). Try again.`);
  const url = URL.createObjectURL(await answer.blob());
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
}
