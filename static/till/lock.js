// Who works at this till. With network the server decides. Without, whoever signed in here
// before can come back with the same PIN: five tries, then only the server opens.

import { ifRoom, keep, kept } from "./database.js";
import { Offline, Problem, ask, isOnline, onContact } from "./net.js";
import { flush, sync } from "./queue.js";
import { snapshot } from "./records.js";

const TRIES_MAX = 5;
const ROUNDS = 300_000;
const NOTICE_EVERY_MS = 5000;
const PATIENCE_MS = 1000;
const SIGNS_OF_LIFE = ["pointerdown", "keydown", "touchstart"];

// Only while somebody who came in without network waits for the server to agree.
let unconfirmed = null;

// {person, offline} or null. A till that was left alone too long is locked, whatever happened to it meanwhile,
// and so is one whose person the server could be asked about but nobody remembers how.
export async function present() {
  const found = await kept("present");
  if (!found) return null;
  const isUnproven = found.offline && !unconfirmed && isOnline();
  if (!isUnproven && !(await isLeftAlone())) return found;
  await lock();
  return null;
}

// Throws Problem ("pin_wrong", "pin_locked", or the server's), or Offline where only the server could tell.
export async function unlock({ login, pin }) {
  try {
    await ask("/sign-in", { method: "POST", body: { login, pin } });
  } catch (error) {
    if (error instanceof Offline) return unlockHere(login, pin);
    throw error;
  }
  await keep("present", null);
  await keep("toEnd", false);
  const { person } = await sync();
  await rememberPin(login, pin, person);
  await notice();
  flush();
  return { person, offline: false };
}

// Nobody is signed in here any more. What waits stays, and is delivered all the same.
export async function lock() {
  unconfirmed = null;
  await keep("present", null);
  await keep("toEnd", true);
  // On a dead network nobody waits before the screen is locked: until it is told, the server's word that
  // somebody is signed in counts for nothing here (records.js).
  await Promise.race([endSession(), new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
}

export const signOut = lock;

// `onLock()` when nobody touched the till for as long as the programme's rules say.
export function whenIdle(onLock) {
  let noticedAt = 0;
  const alive = () => {
    if (Date.now() - noticedAt < NOTICE_EVERY_MS) return;
    noticedAt = Date.now();
    notice();
  };
  for (const sign of SIGNS_OF_LIFE) addEventListener(sign, alive, { capture: true, passive: true });
  const look = async () => {
    if ((await kept("present")) && (await isLeftAlone())) {
      await lock();
      onLock();
    }
  };
  alive();
  document.addEventListener("visibilitychange", () => document.hidden || look());
  return setInterval(look, 1000);
}

async function notice() {
  await ifRoom(() => keep("activeAt", Date.now()));
}

async function isLeftAlone() {
  const now = await snapshot();
  const [seconds, activeAt] = [now?.rules?.lock_seconds, await kept("activeAt")];
  // Without pairing there is no PIN to come back with: the session itself ends in time.
  return Boolean(now?.paired && seconds && activeAt && Date.now() - activeAt > seconds * 1000);
}

// The server ---------------------------------------------------------------------

async function endSession() {
  try {
    await ask("/lock", { method: "POST", body: {} });
    await keep("toEnd", false);
    await sync();
  } catch (error) {
    if (!(error instanceof Offline || error instanceof Problem)) throw error;
  }
}

// The network is back: whoever came in without it is asked for, or whoever left is signed out.
async function confirm() {
  if (unconfirmed) {
    const asked = unconfirmed;
    unconfirmed = null;
    try {
      await unlock(asked);
    } catch (error) {
      if (error instanceof Problem) await lock();
      else unconfirmed = asked;
    }
  } else if (await kept("toEnd")) await endSession();
}

onContact((online) => online && confirm().catch(() => {}));

// This device ---------------------------------------------------------------------

async function unlockHere(login, pin) {
  const [known, now] = [await kept(`pin:${login}`), await snapshot()];
  const works = now?.cashiers?.some((one) => one.login === login);
  if (!known || !works || now.revoked) throw new Offline();
  if (known.tries >= TRIES_MAX) throw new Problem({ code: "pin_locked" });
  // Counted before it is looked at: pulling the plug gives no further try.
  await keep(`pin:${login}`, { ...known, tries: known.tries + 1 });
  if (!isSame(await sum(pin, known.salt), known.sum)) {
    throw new Problem({ code: known.tries + 1 >= TRIES_MAX ? "pin_locked" : "pin_wrong" });
  }
  await keep(`pin:${login}`, { ...known, tries: 0 });
  await keep("present", { person: known.person, offline: true });
  await notice();
  unconfirmed = { login, pin };
  return { person: known.person, offline: true };
}

async function rememberPin(login, pin, person) {
  // Only where the page came over https can a browser keep it safe.
  if (!crypto.subtle) return;
  const salt = crypto.getRandomValues(new Uint8Array(16));
  await keep(`pin:${login}`, { salt, sum: await sum(pin, salt), tries: 0, person });
}

// A PIN is short. Slow to try, and of no use without a key that never leaves this browser.
async function sum(pin, salt) {
  const text = new TextEncoder().encode(pin);
  const material = await crypto.subtle.importKey("raw", text, "PBKDF2", false, ["deriveBits"]);
  const bits = await crypto.subtle.deriveBits(
    { name: "PBKDF2", hash: "SHA-256", salt, iterations: ROUNDS },
    material,
    256,
  );
  return new Uint8Array(await crypto.subtle.sign("HMAC", await deviceKey(), bits));
}

async function deviceKey() {
  const found = await kept("pin-key");
  if (found) return found;
  const made = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  await keep("pin-key", made);
  return made;
}

function isSame(one, other) {
  return one.length === other.length && one.reduce((sum, byte, at) => sum | (byte ^ other[at]), 0) === 0;
}
