// What happened to a generation, and when: created, queued, running, ended.

import { counted } from "./amounts.js";
import { idWithCopy } from "./copying.js";
import { element } from "./dom.js";
import { formatMoment, formatSpan, time } from "./times.js";
import { STATES, hasEnded, stageOf } from "./words.js";

/** The steps so far, and the one it is at, as a list. */
export function stepsOf(generation) {
  const { created_at: created, started_at: started, finished_at: finished, error } = generation;
  const ended = hasEnded(generation);
  const steps = [
    ["Created", created],
    started ? ["Started", started, `after ${span(created, started)} in the queue`] : !ended && ["Waiting", null, stageOf(generation)],
    started && !ended && ["Now", null, stageOf(generation)],
    ended && [STATES[generation.status], finished, `${started ? `${span(started, finished)} after it was started` : "never started"}${generation.attempt > 1 ? `, in ${counted(generation.attempt, "attempt")}` : ""}`],
  ];
  return [
    element("ol", { class: "steps" }, steps.filter(Boolean).map(([name, at, note]) => element("li", {}, element("strong", {}, name), at && [" ", time(at, formatMoment(at))], note && element("span", { class: "hint" }, note)))),
    error && element("p", { class: "small" }, error.message),
    generation.work && workOf(generation.work),
  ];
}

/** What only operators see: who makes it, under which reference, and until when. */
function workOf({ provider, provider_job: job, submitted_at: submitted, failures, gives_up_at: deadline, tried }) {
  const rows = [
    ["Provider", provider],
    ["Provider’s job", job ? idWithCopy(job, "the provider’s job id") : "none yet"],
    tried.length && ["Not made by", tried.map(({ provider: one, result }) => `${one}: ${result}`).join(", ")],
    submitted && ["Submitted", time(submitted, formatMoment(submitted))],
    ["Failed attempts", String(failures)],
    deadline && ["Ends at the latest", time(deadline, formatMoment(deadline))],
  ];
  return element("dl", { class: "facts" }, rows.filter(Boolean).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function span(from, to) {
  return formatSpan(new Date(to) - new Date(from));
}
