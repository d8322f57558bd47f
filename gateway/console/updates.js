// A generation that is shown, brought up to date by events and responses.

import { hasEnded } from "./words.js";

const PASSING = ["queue_position", "paused", "delayed"]; // only present while they hold

/** Update a known generation from an event or a response. An event may be older than a response with the end. */
export function merge(generation, changes) {
  if (hasEnded(generation) && !hasEnded(changes)) return generation;
  for (const name of PASSING) if (!(name in changes)) delete generation[name];
  return Object.assign(generation, changes);
}

/** A generation from a response, updated with the events since the request (`hearing`). */
export function catchUp(generation, heard) {
  for (const { kind, data } of heard) {
    if (kind === "generation" && data.id === generation.id) merge(generation, data);
    if (kind === "output" && data.generation === generation.id) addOutput(generation, data.output);
  }
  return generation;
}

/** Whether the output is new. */
export function addOutput(generation, output) {
  if (generation.outputs.some((known) => known.index === output.index)) return false;
  generation.outputs.push(output);
  return true;
}
