// The Journal page: every movement of the account's credits, with the balance after it, filtered by the URL, and as CSV.

import { Journal } from "./account-journal.js";
import { byId, show, showError } from "./dom.js";
import { on } from "./live.js";
import { startPage } from "./shell.js";

await startPage(async ({ account }) => {
  const journal = new Journal({ id: account, journal: [] }, { addressed: true });
  await journal.readAnew();
  show(byId("journal"), journal.root);
  on("balance", () => journal.readNewer().catch(showError));
  on("again", () => journal.readNewer().catch(showError));
});
