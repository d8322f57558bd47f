// What every page has around its content: who is signed in, the balance, the navigation, the theme, lost connections.

import { call, get, signInFirst, withQuery } from "./api.js";
import { formatCredits, withUnit } from "./amounts.js";
import { announce, byId, element, show, showError } from "./dom.js";
import { connect, on, sessionChanged } from "./live.js";

const LOST_AFTER_MS = 4000;
const OF_ONE_ACCOUNT = new Set(["/gallery", "/usage"]);

/** The signed-in user: `{scope: "account" or an operator's role, account}`. Without a session, leaves the page. */
export const session = begin();

let known = null;
const watchers = new Set();

/** Call `watcher(balance)` with the account's balance (as in GET /v1/balance) now and at every change; returns a function that stops it. */
export function watchBalance(watcher) {
  watchers.add(watcher);
  if (known) watcher(known);
  return () => watchers.delete(watcher);
}

/** Open the Credits dialog. */
async function openCredits() {
  if (!known) return;
  const credits = await import("./credits.js");
  await credits.openCredits(watchBalance);
}

async function begin() {
  watchTheme();
  watchMenu();
  byId("sign-out").addEventListener("click", () => signOut().catch(showError));
  byId("balance").addEventListener("click", openCredits);
  const who = await get("/session");
  if (!who.scope) {
    signInFirst();
    return new Promise(() => {}); // until the page is gone
  }
  document.body.classList.add(who.scope === "account" ? "account" : "operator");
  show(byId("who"), who.account ?? `${who.scope} key`);
  byId("who").title = who.account ? `Account ${who.account}` : `Signed in with a key of the role ${who.scope}`;
  on("connection", showConnection);
  connect();
  if (who.scope === "account") {
    on("balance", showBalance);
    on("again", readBalance);
    await readBalance();
  } else if (location.pathname === "/") {
    location.replace("/operations"); // an operator has no credits to generate with
  } else if (OF_ONE_ACCOUNT.has(location.pathname)) {
    return leadToAccounts();
  }
  return who;
}

/** What an operator sees of a page that shows the account whose key it is: the way to any account. Its script does not go on. */
function leadToAccounts() {
  const account = new URLSearchParams(location.search).get("account");
  const link = element("a", { href: withQuery("/accounts", { account }) }, account ? `Account ${account}` : "Accounts");
  const parts = [...byId("main").children];
  for (const part of parts.slice(parts.indexOf(byId("connection")) + 1)) part.remove();
  byId("main").append(element("div", { class: "empty panel" }, element("p", {}, "This page shows the account that is signed in."), element("p", {}, "For operators: ", link)));
  return new Promise(() => {});
}

/** A response that arrives after an event may be older than it, and would stay: the event is not sent again. */
async function readBalance() {
  const before = known;
  const read = await get("/v1/balance");
  if (known === before) showBalance(read);
}

function showBalance(balance) {
  known = balance;
  const held = balance.held > 0 && element("span", { class: "held" }, ` · ${formatCredits(balance.held)} held`);
  show(byId("balance"), withUnit(balance.available), held);
  for (const watcher of watchers) watcher(balance);
}

let lost = null;

/** Report that live updates are interrupted, but only after a while. */
function showConnection(connected) {
  const notice = byId("connection");
  if (connected) {
    clearTimeout(lost);
    lost = null;
    notice.hidden = true;
  }
  if (connected || lost) return;
  lost = setTimeout(() => {
    notice.hidden = false;
    notice.textContent = "Live updates are interrupted. Trying again…";
    announce(notice.textContent);
  }, LOST_AFTER_MS);
}

async function signOut() {
  await call("DELETE", "/session");
  sessionChanged();
  signInFirst();
}

function watchTheme() {
  const chosen = document.documentElement.dataset.theme ?? "";
  for (const choice of byId("theme").querySelectorAll("input")) {
    choice.checked = choice.value === chosen;
    choice.addEventListener("change", () => chooseTheme(choice.value));
  }
}

function chooseTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // storage is disabled: the choice lasts for this page
  }
}

function watchMenu() {
  const menu = byId("menu");
  menu.addEventListener("click", () => {
    menu.setAttribute("aria-expanded", String(menu.getAttribute("aria-expanded") !== "true"));
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || menu.getAttribute("aria-expanded") !== "true") return;
    menu.setAttribute("aria-expanded", "false");
    menu.focus();
  });
}
