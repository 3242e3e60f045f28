// Bringing what waits to the server. Only one tab at a time may be here (queue.js).

import { serverNow } from "./clock.js";
import { ifRoom, isFull } from "./database.js";
import * as items from "./items.js";
import { Offline, Problem, ask } from "./net.js";
import { rememberBalance } from "./records.js";

const BATCH_MAX = 50;
// Of these the content is at fault, whoever sends it and whenever.
const MALFORMED = new Set([400, 413, 415, 422]);
// A mistake of the server's, which may be about one of them.
const BROKEN = 500;

// Until nothing is left that could go; `tell({key, state, answer, problem})` of each that went.
// The code of what the server has against all of it, or null.
export async function deliver(tell) {
  try {
    await findOut(tell);
    await sendAll(tell);
    return null;
  } catch (error) {
    // It waits for the next time: for a network, or for somebody who may.
    if (error instanceof Offline) return null;
    if (error instanceof Problem) return error.code;
    // No room to write down what came of it: the same key is sent again, and changes nothing.
    if (isFull(error)) return "storage_full";
    throw error;
  }
}

async function sendAll(tell) {
  const later = new Set();
  for (;;) {
    const everything = await items.all("waiting");
    const due = everything.filter((row) => !later.has(row.chain)).slice(0, BATCH_MAX);
    if (!due.length) return;
    const results = await send(due, everything.length - due.length);
    for (const row of due) {
      const result = results.find((one) => one.key === row.key);
      if (result && result.state !== "later") await settled(row, result, tell);
      else {
        later.add(row.chain);
        if (result?.problem) await items.change(row.key, { reason: { kind: "later", problem: result.problem } });
      }
    }
  }
}

// `left` is how many the till still holds after these.
async function send(rows, left) {
  // Written down before it goes: from now on nobody knows whether it arrived.
  for (const row of rows) await ifRoom(() => items.change(row.key, { tries: row.tries + 1 }));
  const told = rows.map(({ key, sequence, made_at, operation, person, programme, path, body }) => {
    return { key, sequence, made_at, operation, person, programme, path, body };
  });
  try {
    const device_time = (await serverNow()).toISOString();
    return (await ask("/queue", { method: "POST", body: { device_time, items: told, left } })).results;
  } catch (error) {
    const isAboutOne = MALFORMED.has(error.status) || error.status === BROKEN;
    if (!isAboutOne || error.code === "form_stale") throw error;
    const state = error.status === BROKEN ? "later" : "refused";
    if (rows.length === 1) return [{ key: rows[0].key, state, problem: error.plain }];
  }
  // One of them is at fault and must not hold up the others.
  const [results, held] = [[], new Set()];
  for (const [at, row] of rows.entries()) {
    if (held.has(row.chain)) continue;
    const [result] = await send([row], left + rows.length - at - 1);
    if (result?.state === "later") held.add(row.chain);
    results.push(result);
  }
  return results.filter(Boolean);
}

async function settled(row, { state, answer = null, problem = null }, tell) {
  const now = await items.get(row.key);
  if (state === "booked") await booked(row, now, answer);
  else if (now) await items.change(row.key, { state: "attention", reason: { kind: state, problem, answer } });
  tell({ key: row.key, state, answer, problem });
}

async function booked(row, now, answer) {
  const code = row.body.code ?? row.about.code;
  if (code && Number.isInteger(answer?.balance)) await rememberBalance(code, answer.balance);
  // Somebody was told meanwhile that it would not be booked.
  if (now?.state === "asking") await bookedAfterAll(now, answer);
  else await items.remove(row.key);
}

// What nobody wants booked any more, but was sent: ask before anything else happens.
async function findOut(tell) {
  for (const row of await items.all("asking")) {
    const found = await outcome(row.key);
    if (found) await bookedAfterAll(row, found.answer);
    else await items.remove(row.key);
    tell({ key: row.key, state: found ? "booked" : "withdrawn", answer: found?.answer, problem: null });
  }
}

// {key, state, answer} of what was booked under a key, or null.
async function outcome(key) {
  try {
    return await ask(`/requests/${encodeURIComponent(key)}`);
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}

async function bookedAfterAll(row, answer) {
  if (!row.undo || !answer?.id) {
    await items.change(row.key, { state: "attention", reason: { kind: "answered_late", problem: null, answer } });
    return;
  }
  const { person, about, body } = row;
  await items.add({
    // The same name whenever this is done again: it is taken back once.
    key: `${row.key}.undo`,
    ...(row.operation === "bookSale"
      ? { operation: "takeBackSale", path: { sale_id: answer.id } }
      : { operation: "undoReceipt", path: { receipt_id: answer.id } }),
    body: {},
    about: { ...about, code: body.code ?? about.code },
    person,
    spends: 0,
  });
  await items.remove(row.key);
}
