// Asking the server. Whether there is a network is known from what was answered,
// not from what the browser believes.

import { heard } from "./clock.js";

const PREFIX = "/till/api";
const TIMEOUT_MS = 8000;

// No answer: nobody knows whether the server heard.
export class Offline extends Error {
  constructor() {
    super("no answer");
    this.name = "Offline";
  }
}

// The server, or the till itself, said no; `code` is stable, `detail` is for people.
export class Problem extends Error {
  constructor({ status = 0, code, detail = "", errors = [] }) {
    super(detail || code);
    Object.assign(this, { name: "Problem", status, code, detail, errors });
  }

  // As plain values, which can be written down.
  get plain() {
    return { status: this.status, code: this.code, detail: this.detail, errors: this.errors };
  }
}

// Whether the last question was answered; null before the first.
let answers = null;
let formToken;
const hearers = new Set();

export function isOnline() {
  return answers !== false && navigator.onLine;
}

// `hearer(online)` at the first answer of all, and whenever that changes.
export function onContact(hearer) {
  hearers.add(hearer);
  return () => hearers.delete(hearer);
}

// `path` as under /till/api. Throws Offline or Problem.
export async function ask(path, { method = "GET", body, key, timeoutMs = TIMEOUT_MS } = {}) {
  if (method !== "GET" && formToken === undefined) await ask("/now", { timeoutMs });
  try {
    return await once(path, { method, body, key, timeoutMs });
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "form_stale") throw error;
  }
  // Somebody signed in or out meanwhile, in another tab or on the server.
  await ask("/now", { timeoutMs });
  return once(path, { method, body, key, timeoutMs });
}

async function once(path, { method, body, key, timeoutMs }) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && formToken) headers["X-Form-Token"] = formToken;
  if (key) headers["Idempotency-Key"] = key;
  const sentAt = Date.now();
  let answer, content;
  try {
    answer = await fetch(path.startsWith(PREFIX) ? path : PREFIX + path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      // A hotel's sign-in page is no answer of ours.
      redirect: "error",
      signal: AbortSignal.timeout(timeoutMs),
    });
    content = await answer.json();
  } catch {
    tell(false);
    throw new Offline();
  }
  tell(true);
  if (content.server_time) heard(content.server_time, sentAt, Date.now());
  if ("form_token" in content) formToken = content.form_token;
  if (!answer.ok) throw new Problem({ ...content, status: answer.status });
  return content;
}

function tell(answered) {
  if (answers === answered) return;
  answers = answered;
  for (const hearer of hearers) hearer(isOnline());
}

addEventListener("offline", () => tell(false));
