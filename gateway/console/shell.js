// What every page has around its content: who is signed in, the balance, the navigation, the theme, lost connections.

import { call, get, signInFirst, withQuery } from "./api.js";
import { formatCredits, withUnit } from "./amounts.js";
import { announce, byId, clearOutage, drawn, element, icon, retried, show, showError } from "./dom.js";
import { connect, on, sessionChanged } from "./live.js";
import { formatLength, setClock } from "./times.js";

const LOST_AFTER_MS = 4000;
const SHOWN_AFTER_MS = 3000; // at the latest, also what is not complete
const ASK_AGAIN_MS = 2000;
const SEES_MONEY = new Set(["admin", "billing"]);

/**
 * The signed-in user: `{scope: "account" or an operator's role, account}`; both null on a public page without a session.
 * Other pages are left then, and an account's pages tell an operator where to look instead. Null on a page without the
 * frame: this script comes to it with others in one file.
 */
export const session = document.body.dataset.page ? begin() : null;

/**
 * Start a page with the signed-in user, and show it. If Farebox does not respond, say so, and load the page again once
 * it does.
 */
export async function startPage(start) {
  try {
    await start(await session);
  } catch (error) {
    if (error.status === 403) return showInstead(element("p", {}, error.message.replace("make this call", "see this page").replace("This call", "This page")));
    showError(error);
    if (error.temporary) await reloadOnceBack();
  } finally {
    drawn();
  }
}

async function reloadOnceBack() {
  do await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
  while (await get("/session").then(() => false, () => true));
  location.reload();
}

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
  try {
    if (!known) await readBalance();
    const credits = await retried(() => import("./credits.js"));
    showError(null);
    await credits.openCredits(watchBalance);
  } catch (error) {
    showError(error);
  }
}

async function begin() {
  watchTheme();
  watchMenu();
  setTimeout(drawn, SHOWN_AFTER_MS);
  byId("sign-out").addEventListener("click", () => signOut().catch(showError));
  byId("balance").addEventListener("click", openCredits);
  const who = await askUntilAnswered(() => get("/session"));
  rememberWho(who);
  if (!who.scope) {
    if (document.body.classList.contains("public")) return who;
    signInFirst();
    return never();
  }
  show(byId("who"), who.account ?? `${who.scope} key`);
  byId("who").title = who.account ? `Account ${who.account}` : `Signed in with a key of the role ${who.scope}`;
  on("connection", showConnection);
  on("again", clearOutage);
  connect();
  const { classList: page } = document.body;
  if (who.scope === "account") {
    if (page.contains("of-operators")) return leadAway("This page is for operators. Sign in with an operator’s key.");
    on("balance", showBalance);
    on("again", () => readBalance().catch(showError));
    await askUntilAnswered(readBalance);
  } else if (page.contains("of-account")) {
    return leadToAccounts();
  }
  return who;
}

/** What an operator sees of a page that shows the account whose key it is: the way to any account. Its script does not go on. */
function leadToAccounts() {
  if (location.pathname === "/") location.replace("/operations");
  const account = new URLSearchParams(location.search).get("account");
  const link = element("a", { href: withQuery("/accounts", { account }) }, account ? `Account ${account}` : "Accounts");
  return leadAway("This page shows the account that is signed in.", element("p", {}, "For operators: ", link));
}

/** Say whose page it is. Its script does not go on. */
function leadAway(text, ...more) {
  showInstead(element("p", {}, text), more);
  return never();
}

/** Show this in the place of the page's contents. */
function showInstead(...said) {
  const parts = [...byId("main").children];
  for (const part of parts.slice(parts.indexOf(byId("connection")) + 1)) part.remove();
  byId("main").append(element("div", { class: "empty panel" }, said));
  byId("actions").remove();
}

/** While Farebox does not respond, say so and ask again. */
async function askUntilAnswered(ask) {
  for (;;) {
    try {
      const answer = await ask();
      clearOutage();
      return answer;
    } catch (error) {
      if (!error.temporary) throw error;
      showError(error);
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    }
  }
}

function never() {
  drawn();
  return new Promise(() => {}); // until the page is gone
}

/** The next page has this user's navigation from its first paint. */
export function rememberWho({ scope }) {
  const who = scope === "account" ? scope : !scope ? "nobody" : SEES_MONEY.has(scope) ? "operator money" : "operator";
  document.documentElement.dataset.who = who;
  try {
    localStorage.setItem("who", who);
  } catch {
    // storage is disabled: the next page shows it once it has asked
  }
}

/** A response that arrives after an event may be older than it, and would stay: the event is not sent again. */
async function readBalance() {
  const before = known;
  const read = await get("/v1/balance");
  if (known === before) showBalance(read);
}

function showBalance(balance) {
  known = balance;
  const ahead = balance.clock_offset_seconds;
  setClock(ahead);
  byId("clock").hidden = !ahead;
  byId("clock").textContent = ahead ? `Test account: its clock is ${formatLength(ahead * 1000)} ahead.` : "";
  const held = balance.held > 0 && element("span", { class: "held" }, ` · ${formatCredits(balance.held)} held`);
  show(byId("balance"), icon("coin"), element("span", {}, withUnit(balance.available), held));
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
