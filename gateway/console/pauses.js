// Pauses of tools, models and providers: what is paused, pausing and resuming it with a reason.

import { actButton, may, openAct } from "./acts.js";
import { get } from "./api.js";
import { element } from "./dom.js";
import { line, plainCell, table } from "./tables.js";
import { time } from "./times.js";

/** What is paused, oldest first. */
export async function readPauses() {
  return (await get("/v1/ops/pauses")).data;
}

/** The pauses as a table, each with a button that resumes it; `done(text)` is called afterwards. */
export function pausesTable(pauses, scope, done) {
  const row = (pause) => line(nameOf(pause), [plainCell(time(pause.since)), plainCell(pause.reason), plainCell(may(scope, "all") && actButton("Resume", () => openResume(pause, done), `Resume ${nameOf(pause)}`))]);
  return table(["Paused", "Since", "Reason", "Actions"], pauses.map(row), { cards: true, numbers: 9 });
}

/** A button that pauses or resumes it, whichever applies; null for roles that may not. */
export function pauseButton({ kind, name }, pauses, scope, done) {
  if (!may(scope, "all")) return null;
  const pause = pauses.find((one) => one.kind === kind && one.name === name);
  return pause ? actButton("Resume", () => openResume(pause, done), `Resume ${nameOf(pause)}`) : actButton("Pause", () => openPause({ kind, name }, done), `Pause ${nameOf({ kind, name })}`);
}

/** "provider fal" */
export function nameOf({ kind, name }) {
  return `${kind} ${name}`;
}

function pathOf({ kind, name }) {
  return `/v1/ops/pauses/${kind}/${encodeURIComponent(name)}`;
}

function openPause(what, done) {
  openAct({
    title: `Pause the ${nameOf(what)}`,
    about: element("p", {}, "For all accounts. What runs goes on; what is queued or waits is held until it is resumed."),
    note: "For the audit log, and shown to whoever is refused: write it for customers.",
    verb: "Pause",
    changes: () => [["New generations", "accepted", "refused with your reason"]],
    send: ({ reason }, call) => call("PUT", pathOf(what), { reason }),
    done: () => done(`Paused the ${nameOf(what)}.`),
  });
}

function openResume(what, done) {
  openAct({
    title: `Resume the ${nameOf(what)}`,
    about: element("p", {}, `Paused because: ${what.reason}`),
    verb: "Resume",
    changes: () => [["New generations", "refused", "accepted"]],
    send: (_, call) => call("DELETE", pathOf(what)),
    done: () => done(`Resumed the ${nameOf(what)}.`),
  });
}
