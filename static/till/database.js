// What this till remembers on the device: one database for all of its tabs.

import { openDB } from "/static/vendor/idb-8.0.4.js";

const NAME = "passes-till";
const VERSION = 1;
let opening;

export function database() {
  opening ??= openDB(NAME, VERSION, {
    upgrade(store) {
      // What is booked, in the order of `sequence`; gone once the server has it.
      store.createObjectStore("items", { keyPath: "key" });
      store.createObjectStore("members", { keyPath: "code" }).createIndex("seenAt", "seenAt");
      // Single values by name.
      store.createObjectStore("kept");
    },
    blocking() {
      letGo();
    },
    terminated() {
      opening = undefined;
    },
  });
  opening.catch(() => (opening = undefined));
  return opening;
}

export async function kept(name) {
  return (await database()).get("kept", name);
}

export async function keep(name, value) {
  return (await database()).put("kept", value, name);
}

export async function drop(name) {
  return (await database()).delete("kept", name);
}

// Whether the device refused to write because it is full.
export function isFull(error) {
  return error?.name === "QuotaExceededError" || error?.inner?.name === "QuotaExceededError";
}

// What may be left undone where there is no room for it: sales matter more.
export async function ifRoom(write) {
  try {
    return await write();
  } catch (error) {
    if (!isFull(error)) throw error;
    return undefined;
  }
}

function letGo() {
  opening?.then((store) => store.close());
  opening = undefined;
}
