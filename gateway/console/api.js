// Calls of the public API. The browser sends the session's cookie.

const TRIES = 4;
const PAUSE_MS = 500;
const SAVED_WITHIN_MS = 10_000;

/** An error response. `code` is the API's, `message` what it says, for people; `details` has the rest, such as `ways_out`. */
export class Refusal extends Error {
  constructor(status, { code, message, ...details }) {
    super(forPeople(message, details.fields));
    this.status = status;
    this.temporary = status === 502 || status === 503 || status === 504;
    this.code = code;
    this.details = details;
  }
}

/** A message for programs, with all that is wrong, and with words instead of backticks and the names of fields. */
function forPeople(message, fields = []) {
  const others = fields.filter((field) => !message.includes(field.message)).map((field) => `\`${field.path}\` ${field.message}.`);
  return [message.replace(/^The (body|query|request) is invalid: /, ""), ...others].map(inWords).join(" ");
}

function inWords(text) {
  const words = text.replace(/`([^`]*)`/g, (_, name) => (/^[a-z._]+[a-z]$/.test(name) ? name.replace(/[._]/g, " ") : name)).trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** No response, or an unreadable one. `temporary` errors are worth asking again. */
export class Unreachable extends Error {
  temporary = true;

  constructor() {
    super("Farebox is not responding. Check your connection and try again.");
  }
}

/** GET a path; empty members of `query` are omitted. */
export function get(path, query = {}, options = {}) {
  return call("GET", withQuery(path, query), undefined, options);
}

/**
 * POST a body. `once` is an Idempotency-Key: with one, a lost response is retried, and the call takes effect once
 * however often it is sent. `options.signal` aborts.
 */
export function post(path, body, options) {
  return repeatable("POST", path, body, options);
}

/** An operator's call, with a reason for the audit log; `once` as in `post` (a DELETE is sent once). */
export function operate(method, path, body, { reason, once }) {
  return repeatable(method, path, body, { once: method !== "DELETE" && once, headers: { "X-Farebox-Reason": encodeURIComponent(reason) } });
}

async function repeatable(method, path, body, { once, headers: given, ...options } = {}) {
  const headers = { ...given, ...(once && { "Idempotency-Key": once }) };
  for (let attempt = 1; ; attempt++) {
    try {
      return await call(method, path, body, { ...options, headers });
    } catch (error) {
      const unknown = error instanceof Unreachable || error.status === 503;
      if (!once || !unknown || attempt === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * attempt));
    }
  }
}

/** Any call; returns the parsed response, or null if it has no body. */
export async function call(method, path, body, { headers = {}, signal } = {}) {
  const raw = body === undefined || body instanceof Blob; // a file brings its type along
  const json = raw ? {} : { "Content-Type": "application/json" };
  let response;
  let text;
  try {
    response = await fetch(path, {
      method,
      signal,
      headers: { ...json, ...headers },
      body: raw ? body : JSON.stringify(body),
    });
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable();
  }
  const answer = parsed(text);
  if (response.ok) return answer;
  const refusal = new Refusal(response.status, answer?.error ?? { code: "internal", message: `Farebox responded with status ${response.status}.` });
  if (refusal.status === 401 && location.pathname !== "/sign-in") signInFirst();
  throw refusal;
}

/** Save what a path answers as CSV, as `name`. */
export async function saveCsv(path, query, name) {
  const answer = await fetch(withQuery(path, query), { headers: { Accept: "text/csv" } });
  if (!answer.ok) throw new Error(`The export failed (${answer.status}). Try again.`);
  const url = URL.createObjectURL(await answer.blob());
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), SAVED_WITHIN_MS);
}

/** Whether an error only means that its call was aborted. */
export function isAborted(error) {
  return error.name === "AbortError";
}

/** A new Idempotency-Key. (`crypto.randomUUID` is for secure contexts only.) */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A path with a query; empty members are omitted. */
export function withQuery(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** Go to the sign-in page, and return here afterwards. */
export function signInFirst() {
  location.replace(withQuery("/sign-in", { to: location.pathname + location.search }));
}

function parsed(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
