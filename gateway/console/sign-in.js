// Signing in: with a key, or with a link whose token is in the fragment, which no server sees.

import { get, post } from "./api.js";
import { byId } from "./dom.js";
import { sessionChanged } from "./live.js";

const form = byId("form");
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname + location.search); // a link is used once: it need not be seen again

form.addEventListener("submit", (event) => {
  event.preventDefault();
  signIn({ key: byId("key").value.trim() });
});

if (token) signIn({ link: token });
else get("/session").then((who) => (who.scope ? goOn(who) : byId("key").focus()), () => {});

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
  const to = new URL(new URLSearchParams(location.search).get("to") ?? "/", location.origin);
  const first = who.scope === "account" ? "/" : "/operations";
  location.replace(to.origin === location.origin && to.pathname !== "/" ? to.pathname + to.search : first);
}
