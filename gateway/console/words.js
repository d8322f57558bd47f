// The console's texts for the API's codes: buckets, states, kinds of entries, settings, costs.

import { formatCredits } from "./amounts.js";
import { formatTime } from "./times.js";

export const BUCKETS = { free: "Free", subscription: "Subscription", top_up: "Top-up" };
export const STATES = { waiting: "Waiting", queued: "Queued", running: "Running", succeeded: "Succeeded", failed: "Failed", cancelled: "Cancelled" };
/** The badge of a final state. */
export const MARKS = { succeeded: "good", failed: "bad", cancelled: "warn" };
export const KINDS = {
  reserve: "Held",
  commit: "Charged",
  refund: "Returned",
  grant: "Granted",
  reset: "Daily reset",
  refresh: "Monthly refresh",
  expire: "Expired",
  lapse: "Lapsed",
  revoke: "Revoked",
  adjust: "Adjusted",
  change: "Plan changed",
  alert: "Alert",
};

const FINAL = new Set(["succeeded", "failed", "cancelled"]);

/** The name of a setting: aspect_ratio → "Aspect ratio". */
export function settingName(name) {
  const words = name.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

/** A setting's value for display: true → "on", 5 with unit s → "5 s". */
export function settingValue(value, unit) {
  if (typeof value === "boolean") return value ? "on" : "off";
  return unit ? `${value} ${unit}` : String(value);
}

/** Whether it is in a final state. */
export function hasEnded(generation) {
  return FINAL.has(generation.status);
}

/** Its cost as text: "charged 147", "failed: 147 returned, nothing charged", "charged 147; 147 given back". */
export function costOf(generation) {
  const { status } = generation;
  return `${FINAL.has(status) && status !== "succeeded" ? `${status}: ` : ""}${chargeOf(generation)}`;
}

/** The same beside its state: without it. */
export function chargeOf({ status, credits, outputs, outputs_requested: requested }) {
  const { held, committed, refunded, given_back: back } = credits;
  if (!FINAL.has(status)) return `${formatCredits(held)} held`;
  const share = outputs.length < requested && committed > 0 ? ` for ${outputs.length} of ${requested} outputs` : "";
  const charged = `${formatCredits(committed)}${share}${back ? `; ${formatCredits(back)} given back` : ""}`;
  if (status === "succeeded") return refunded ? `charged ${charged}; ${formatCredits(refunded)} returned` : `charged ${charged}`;
  return committed ? `charged ${charged}; ${formatCredits(refunded)} returned` : `${formatCredits(refunded)} returned, nothing charged`;
}

/** An open one's state as text: "Queued: 3 ahead", "Running: 40 %". */
export function stageOf({ status, progress, attempt, queue_position: position, cancel_requested: stopping, paused, delayed }) {
  if (paused) return paused.message;
  if (delayed && !stopping) return `The provider is not responding. It is tried again${delayed.gives_up_at ? `; credits come back by ${formatTime(delayed.gives_up_at)} at the latest` : ""}.`;
  if (stopping) return "Stopping: credits for undelivered outputs are returned";
  if (status === "waiting") return "Waiting: as many are in work as your plan allows";
  if (status === "queued") return position === undefined || position === null ? "Queued" : position === 0 ? "Queued: next" : `Queued: ${position} ahead`;
  const again = attempt > 1 ? `, attempt ${attempt}` : "";
  return progress > 0 ? `Running: ${Math.round(progress * 100)} %${again}` : `Running: starting${again}`;
}

const NAMED_CHARACTERS = 60;

/** The start of a prompt, for names that are read aloud: a prompt has up to 10,000 characters. */
export function shortPrompt({ prompt: given, model }) {
  const prompt = given || model; // some need none
  return prompt.length > NAMED_CHARACTERS ? `${prompt.slice(0, NAMED_CHARACTERS)}…` : prompt;
}
