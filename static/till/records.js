// What the till knows without network: its shop and rules as last told, and the members
// it has seen. "As of" is the time of the server, never of the device.

import { serverNow } from "./clock.js";
import { normalise } from "./codes.js";
import { database, ifRoom, keep, kept } from "./database.js";
import { all, change as changeItem } from "./items.js";
import { chainOfMember, pointsGiven } from "./limits.js";
import { ask } from "./net.js";

const MEMBERS_MAX = 500;
const FOUND_MAX = 8;

// The server's last answer to /now, or null.
export async function snapshot() {
  return (await kept("now")) ?? null;
}

export async function keepSnapshot(now) {
  const { form_token, ...rest } = now;
  // Who locked the till is gone, even while the server has not heard of it.
  const person = (await kept("toEnd")) ? null : now.person;
  const syncedAt = (await serverNow()).toISOString();
  // First who works here: whoever hears of a new answer looks once, and must not find the old person with it.
  await keepPresent(person);
  await keep("now", { ...rest, person, syncedAt });
  // A lost till forgets who came to the shop. What it booked stays until it is delivered.
  if (now.revoked) await forgetMembers();
}

// Who works here now. Somebody who came in without network stays until lock.js has asked the server.
async function keepPresent(person) {
  const before = await kept("present");
  if (!before?.offline) await keep("present", person ? { person, offline: false } : null);
}

// Whoever was not seen for longest is forgotten first. A full device forgets the newest: sales matter more.
export async function remember(member) {
  if (!member.code || member.code.startsWith("~")) return;
  await ifRoom(() => write(member));
}

async function write(member) {
  const seenAt = member.as_of ?? (await serverNow()).toISOString();
  const change = (await database()).transaction("members", "readwrite");
  await change.store.put({ code: normalise(member.code), member, seenAt, folded: folded(member.name ?? "") });
  let over = (await change.store.count()) - MEMBERS_MAX;
  for (let oldest = await change.store.index("seenAt").openCursor(); oldest && over > 0; over -= 1) {
    await oldest.delete();
    oldest = await oldest.continue();
  }
  await change.done;
}

// The balance that a receipt tells, for a member who is known here.
export async function rememberBalance(code, balance) {
  await ifRoom(() => writeBalance(code, balance));
}

async function writeBalance(code, balance) {
  const seenAt = (await serverNow()).toISOString();
  const change = (await database()).transaction("members", "readwrite");
  const found = await change.store.get(normalise(code));
  if (found) await change.store.put({ ...found, seenAt, member: { ...found.member, balance } });
  await change.done;
}

// A member exactly as last seen, or undefined.
export async function lastSeen(code) {
  return code && (await (await database()).get("members", normalise(code)))?.member;
}

// A member as last seen, and what waits of theirs: `member.balance` counts it, as far as it can be known.
export async function recall(code) {
  const found = await (await database()).get("members", normalise(code));
  return found ? withWaiting(found) : null;
}

// Members whose name has words that begin so.
export async function search(text) {
  const wanted = folded(text).split(" ").filter(Boolean);
  if (!wanted.length) return [];
  const everybody = await (await database()).getAllFromIndex("members", "seenAt");
  const fits = ({ folded }) => wanted.every((part) => ` ${folded}`.includes(` ${part}`));
  return Promise.all(everybody.filter(fits).reverse().slice(0, FOUND_MAX).map(withWaiting));
}

// Whoever left, and was seen here before, is nobody that this device may still know.
export async function forgetGone() {
  const [codes, rows] = [await (await database()).getAllKeys("members"), await all()];
  const named = rows.map((row) => row.about.name && (row.body.code ?? row.about.code)).filter(Boolean);
  const wanted = [...new Set([...codes, ...named.map(normalise)])].filter((code) => !code.startsWith("~"));
  for (let start = 0; start < wanted.length; start += MEMBERS_MAX) {
    const asked = wanted.slice(start, start + MEMBERS_MAX);
    const { gone } = await ask("/remembered", { method: "POST", body: { codes: asked } });
    for (const code of gone) await forget(code, rows);
  }
}

async function forget(code, rows) {
  await (await database()).delete("members", code);
  for (const row of rows.filter((one) => one.chain === chainOfMember(code))) {
    await changeItem(row.key, { about: { ...row.about, name: "" } });
  }
}

export async function forgetMembers() {
  await (await database()).clear("members");
}

async function withWaiting({ code, member, seenAt }) {
  const rate = (await snapshot())?.programme?.points_per;
  const rows = (await all("waiting")).filter((row) => row.chain === chainOfMember(code));
  const waiting = rows.reduce((sum, row) => sum + pointsGiven(row, rate) - row.spends, 0);
  return { member: { ...member, balance: member.balance + waiting }, seenAt, waitingPoints: waiting };
}

// Without marks and case, and without the difference between I, İ and ı.
function folded(text) {
  const plain = text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().replace(/ı/g, "i");
  return plain.replace(/\s+/g, " ").trim();
}
