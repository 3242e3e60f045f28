// How far the device's clock is from the server's. What is booked without network
// carries the time that the server's clock would have shown.

import { keep, kept } from "./database.js";

// Below, it is the way there and back rather than the clock.
const NEAR_MS = 2000;
export const SKEW_WARN_SECONDS = 300;

let aheadMs = 0;
export const known = kept("clock").then((clock) => (aheadMs = clock?.aheadMs ?? 0));

export function heard(serverTime, sentAt, gotAt) {
  const server = Date.parse(serverTime);
  if (Number.isNaN(server)) return;
  const found = Math.round((sentAt + gotAt) / 2 - server);
  const uncertain = Math.max(NEAR_MS, (gotAt - sentAt) / 2);
  const before = aheadMs;
  aheadMs = Math.abs(found) <= uncertain ? 0 : found;
  if (Math.abs(aheadMs - before) > NEAR_MS) keep("clock", { aheadMs }).catch(() => {});
}

export function skewSeconds() {
  return Math.round(aheadMs / 1000);
}

export async function serverNow() {
  await known.catch(() => {});
  return new Date(Date.now() - aheadMs);
}
