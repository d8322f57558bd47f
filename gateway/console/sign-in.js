// Signing in: with a key, or with a link whose token is in the fragment, which no server sees.

import { get, post } from "./api.js";
import { byId } from "./dom.js";
import { sessionChanged } from "./live.js";
import { rememberWho } from "./shell.js";

const form = byId("form");
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname + location.search); // a link is used once: it need not be seen again

form.addEventListener("submit", (event) => {
  event.preventDefault();
  signIn({ key: byId("key").value.trim() });
});

byId("show").addEventListener("change", ({ target }) => (byId("key").type = target.checked ? "text" : "password"));

const PROBLEMS = {
  failed: "The sign-in was not completed, or took more than ten minutes. Try again.",
  nobody: "Your organization knows you, but you have no account here. Ask whoever runs this gateway.",
  unavailable: "Your organization’s sign-in does not respond. Try again soon, or sign in with a key.",
};
const asked = new URLSearchParams(location.search);
byId("problem").textContent = PROBLEMS[asked.get("problem")] ?? "";

if (token) signIn({ link: token });
else get("/session").then(start, () => {});

function start(who) {
  if (who.scope) return goOn(who);
  byId("single-sign-on").hidden = !who.single_sign_on;
  byId("single-sign-on").firstChild.search = new URLSearchParams({ to: asked.get("to") ?? "/" });
  byId("key").focus();
}

async function signIn(body) {
  const button = form.querySelector("button");
  button.disabled = true;
  byId("problem").textContent = "";
  try {
    const who = await post("/session", body);
    sessionChanged();
    goOn(who);
  } catch (error) {
    byId("problem").textContent = error.message;
    byId("key").setAttribute("aria-invalid", String(!token));
    byId("key").focus();
  } finally {
    button.disabled = false;
  }
}

/** Go to the requested page, if it is one of ours. */
function goOn(who) {
  rememberWho(who);
  const to = new URL(asked.get("to") ?? "/", location.origin);
  const first = who.scope === "account" ? "/" : "/operations";
  // The whole address: the path alone may begin with //, which is another host.
  location.replace(to.origin === location.origin && to.pathname !== "/" ? to.href : first);
}
