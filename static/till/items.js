// What waits to be delivered, on the device. An item is written before it is sent, and
// leaves only when the server has it or somebody has dealt with it.
//
// state: "waiting" to be sent · "asking" whether it was booked, which nobody should any
// more (`undo`: then it is taken back) · "attention" of somebody · "settled" by somebody.

import { serverNow } from "./clock.js";
import { database } from "./database.js";
import { chainOf } from "./limits.js";

const SETTLED_KEPT_MS = 30 * 24 * 3600 * 1000;

// Throws QuotaExceededError when the device is full; nothing was written then.
export async function add(item) {
  const now = await serverNow();
  return numbered((sequence, before) => ({
    ...item,
    sequence,
    chain: chainOf(item, before),
    made_at: now.toISOString(),
    device_at: new Date().toISOString(),
    state: "waiting",
    tries: 0,
  }));
}

// To be sent again, behind everything that was made since: the server counts what it has taken.
export async function renew(key) {
  return numbered((sequence, before) => {
    const row = before.find((one) => one.key === key);
    return row && { ...row, sequence, state: "waiting", reason: null };
  });
}

// `make(sequence, before)` in one piece with counting on, so that no number is given twice.
async function numbered(make) {
  // On the disk before anybody is told, as far as that can be had.
  const change = (await database()).transaction(["items", "kept"], "readwrite", { durability: "strict" });
  const [items, values] = [change.objectStore("items"), change.objectStore("kept")];
  const write = async () => {
    // A browser that dropped everything but its cookie counts on from what the server took of this till.
    const taken = (await values.get("sequence")) ?? (await values.get("now"))?.till?.sequence ?? 0;
    const sequence = taken + 1;
    const row = make(sequence, await items.getAll());
    if (!row) return null;
    await values.put(sequence, "sequence");
    await items.put(row);
    return row;
  };
  const [row] = await Promise.all([write(), change.done]);
  return row;
}

export async function all(...states) {
  const rows = await (await database()).getAll("items");
  const wanted = states.length ? rows.filter((row) => states.includes(row.state)) : rows;
  return wanted.sort((one, other) => one.sequence - other.sequence);
}

export async function get(key) {
  return (await database()).get("items", key);
}

// False where the item has gone meanwhile, or is not in the state that it should be changed `from`.
export async function change(key, values, { from } = {}) {
  const write = (await database()).transaction("items", "readwrite");
  const row = await write.store.get(key);
  const fits = row !== undefined && (from === undefined || row.state === from);
  if (fits) await write.store.put({ ...row, ...values });
  await write.done;
  return fits;
}

export async function remove(key) {
  await (await database()).delete("items", key);
}

// What was settled long ago has been read by whoever wanted to.
export async function clean(now = Date.now()) {
  for (const row of await all("settled")) {
    if (now - Date.parse(row.settled_at) > SETTLED_KEPT_MS) await remove(row.key);
  }
}
