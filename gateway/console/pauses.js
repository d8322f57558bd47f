// Pauses of tools, models and providers: what is paused, pausing and resuming it with a reason.

import { get } from "./api.js";
import { element, retried } from "./dom.js";
import { actButton, may } from "./fields.js";
import { records } from "./tables.js";
import { time } from "./times.js";

/** What is paused, oldest first. */
export async function readPauses() {
  return (await get("/v1/ops/pauses")).data;
}

/** The pauses as a table, each with a button that resumes it; `done(text)` is called afterwards. */
export function pausesTable(pauses, scope, done) {
  const columns = [
    ["Paused", nameOf],
    ["Since", ({ since, until }) => [time(since), until && element("div", { class: "hint" }, "until ", time(until))]],
    ["New ones", (pause) => (pause.new === "wait" ? "wait" : "refused")],
    ["Reason", ({ reason }) => reason],
    ["Actions", (pause) => pauseButton(pause, pauses, scope, done)],
  ];
  return records(columns, pauses);
}

/** A button that pauses or resumes it, whichever applies; null for roles that may not. */
export function pauseButton({ kind, name }, pauses, scope, done) {
  if (!may(scope, "all")) return null;
  const pause = pauses.find((one) => one.kind === kind && one.name === name);
  return pause ? actButton("Resume", () => openPause("resumeWhat", pause, done), `Resume ${nameOf(pause)}`) : actButton("Pause", () => openPause("pauseWhat", { kind, name }, done), `Pause ${nameOf({ kind, name })}`);
}

/** "provider fal" */
export function nameOf({ kind, name }) {
  return `${kind} ${name}`;
}

/** Open the action `pauseWhat` or `resumeWhat`: its script is loaded when it is pressed. */
export async function openPause(act, what, done) {
  const acts = await retried(() => import("./acts.js"));
  acts[act](what, done);
}
