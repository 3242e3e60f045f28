// Everything that is booked goes through here, with network or without: it gets its key,
// is written down, sent, and leaves once the server has it. A key that is sent again
// changes nothing, so sending again is always safe.

import { serverNow, skewSeconds } from "./clock.js";
import { isFull, kept } from "./database.js";
import { deliver } from "./delivery.js";
import * as items from "./items.js";
import { chainOf, isTwin, pointsSpent, refusedOffline } from "./limits.js";
import { ask, isOnline, onContact } from "./net.js";
import { forgetGone, keepSnapshot, lastSeen, snapshot } from "./records.js";

const PATIENCE_MS = 4000;
const TICK_MS = 30_000;
const SYNC_EVERY_MS = 60_000;
const LOCK = "passes-till-queue";
const CHANNEL = "passes-till-queue";

const expected = new Map();
const hearers = new Set();
const tabs = new BroadcastChannel(CHANNEL);
let delivering = null;
let again = false;
let syncedMs = 0;
let held = null;
let waitingNow = 0;

// Once, when the app starts.
export async function begin() {
  addEventListener("online", wake);
  addEventListener("pageshow", wake);
  document.addEventListener("visibilitychange", () => document.hidden || wake());
  addEventListener("beforeunload", (event) => waitingNow && event.preventDefault());
  setInterval(tick, TICK_MS);
  onContact(changed);
  // Without it a browser that needs room may throw away what waits.
  navigator.storage?.persist?.().catch(() => {});
  await items.clean();
  await wake();
}

// What came of it: "booked", "refused" or "review", or "waiting" when nobody answered in time.
// `key` only to try again under the same name what was refused: with an approval, or as meant.
export async function book({ operation, path = {}, body, about = {}, patienceMs = PATIENCE_MS, key }) {
  const named = { key: key ?? newKey(), operation, path, body, about };
  const [now, present] = await Promise.all([snapshot(), kept("present")]);
  const item = { ...named, person: present?.person?.login ?? null, programme: now?.programme?.slug ?? null };
  const member = await lastSeen(body.code ?? about.code);
  item.spends = pointsSpent(item, member) ?? 0;
  const others = await waitingWith(item);
  if (isTwin(item, others, await serverNow(), now?.rules)) return refusal(item.key, "looks_repeated");
  const forbidden = refusedOffline(item, {
    offlinePoints: now?.rules?.offline_points ?? 0,
    member,
    waiting: others,
  });
  if (forbidden && !isOnline()) return refusal(item.key, forbidden);

  const outcome = new Promise((resolve) => expected.set(item.key, resolve));
  try {
    await items.add(item);
  } catch (error) {
    expected.delete(item.key);
    if (isFull(error)) return refusal(item.key, "storage_full");
    throw error;
  }
  changed();
  // Without network nobody has to be patient. What another tab delivered is told by it.
  const sent = flush().then(() => items.get(item.key));
  const unsent = sent.then((row) => (row?.state === "waiting" ? null : outcome));
  let found = await Promise.race([outcome, unsent, after(patienceMs)]);
  if (!found && forbidden) {
    // Nothing is handed out on it, so it must not be booked when the network is back either.
    if (await items.change(item.key, { state: "asking", undo: false }, { from: "waiting" })) {
      found = refusal(item.key, "no_answer");
    } else found = (await Promise.race([outcome, after(patienceMs)])) ?? refusal(item.key, "no_answer");
  }
  expected.delete(item.key);
  if (!found) found = { state: "waiting", key: item.key };
  // Whoever waits for it sees the refusal now; only one that comes later is kept for somebody.
  if (found.state === "refused" && found.problem.code !== "no_answer") await items.remove(item.key);
  changed();
  return found;
}

// Take back what was not delivered yet. False: too late, it was booked.
export async function withdraw(key) {
  const done = await exclusively(async () => {
    const row = await items.get(key);
    if (row?.state !== "waiting") return row?.state === "asking";
    // What was sent may have arrived although no answer came.
    if (row.tries) await items.change(key, { state: "asking", undo: true });
    else await items.remove(key);
    return true;
  });
  changed();
  flush();
  return done;
}

export async function waiting() {
  return items.all("waiting", "asking");
}

export async function attention() {
  return items.all("attention");
}

// Try again what the server refused.
export async function retry(key) {
  await items.renew(key);
  changed();
  return flush();
}

// Somebody has dealt with it; it stays readable for thirty days.
export async function settle(key, note) {
  const row = await items.get(key);
  // Somebody who did not become a member is nobody that the device may still know.
  const forgotten = row?.operation === "enrolMember" ? { body: {}, about: { ...row.about, name: "" } } : {};
  await items.change(key, { state: "settled", note, settled_at: new Date().toISOString(), ...forgotten });
  changed();
}

// Deliver what waits: one tab at a time, in order.
export function flush() {
  again = true;
  delivering ??= run().finally(() => (delivering = null));
  return delivering;
}

async function run() {
  while (again) {
    again = false;
    // After silence a question goes first: it tells the time, and leaves no doubt about what was sent.
    if (!isOnline() && !(await isReached())) return;
    held = await exclusively(() => deliver(tell));
    publish();
  }
}

async function isReached() {
  return navigator.onLine && sync().then(Boolean, () => false);
}

// `hearer({waiting, oldestAt, online, attention, skewSeconds, syncedAt, revoked, held})`, now and at every
// change; `held` is the code of what keeps the server from taking anything, such as that nobody is signed in.
export function onChange(hearer) {
  hearers.add(hearer);
  state().then(hearer);
  return () => hearers.delete(hearer);
}

// The server's newest word about this till, kept for later. Throws Offline or Problem.
export async function sync() {
  const now = await ask("/now");
  await keepSnapshot(now);
  // In its own time: what the server said counts already.
  if (now.programme && !now.revoked) forgetGone().catch(() => {});
  syncedMs = Date.now();
  changed();
  return now;
}

async function state() {
  const [due, unsettled, now] = await Promise.all([waiting(), attention(), snapshot()]);
  waitingNow = due.length;
  return {
    waiting: due.length,
    oldestAt: due[0]?.made_at ?? null,
    online: isOnline(),
    attention: unsettled.length,
    skewSeconds: skewSeconds(),
    syncedAt: now?.syncedAt ?? null,
    revoked: now?.revoked ?? false,
    held,
  };
}

async function waitingWith(item) {
  const [others, chain] = [await waiting(), chainOf(item)];
  return others.filter((other) => other.chain === chain && other.key !== item.key);
}

// Made of chance alone, as every device makes its own. Pages without https have no better word for it.
function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function refusal(key, code) {
  return { state: "refused", key, problem: { status: 0, code, detail: "", errors: [] } };
}

async function wake() {
  await sync().catch(() => {});
  await flush();
}

async function tick() {
  const stale = Date.now() - syncedMs > SYNC_EVERY_MS;
  if (!isOnline() || (stale && !document.hidden)) await sync().catch(() => {});
  if ((await waiting()).length) await flush();
}

function exclusively(work) {
  return navigator.locks ? navigator.locks.request(LOCK, work) : work();
}

function after(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds, null));
}

// To this tab and the others: one of them delivers, another may wait for the outcome.
function tell(outcome) {
  expected.get(outcome.key)?.(outcome);
  tabs.postMessage({ outcome });
  changed();
}

tabs.addEventListener("message", ({ data }) => {
  if (data.outcome) expected.get(data.outcome.key)?.(data.outcome);
  publish();
});

function changed() {
  tabs.postMessage({});
  publish();
}

async function publish() {
  const now = await state();
  for (const hearer of hearers) hearer(now);
}
