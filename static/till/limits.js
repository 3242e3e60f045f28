// What a till may do without network. Points given are safe: the server counts them
// when it hears. Points spent are a risk, which the programme limits.

import { normalise } from "./codes.js";

const SAFE = new Set(["bookPurchase", "bookSale", "undoReceipt", "takeBackGoods", "takeBackSale"]);
const SPENDING = "redeemReward";

// Whether items wait together: what is booked for one member keeps its order.
export function chainOf({ path, body, about, key }, others = []) {
  const made = path?.receipt_key && others.find((one) => one.key === path.receipt_key);
  if (made) return made.chain;
  const code = body?.code ?? about?.code;
  return code ? chainOfMember(code) : `own:${path?.receipt_key ?? key}`;
}

export function chainOfMember(code) {
  return `member:${normalise(code)}`;
}

// Points that an item takes from a balance; null when nobody here knows.
export function pointsSpent({ operation, body }, member) {
  if (operation !== SPENDING) return 0;
  const reward = member?.rewards?.find((one) => one.key === body.reward);
  return body.points ?? reward?.points ?? null;
}

// Points that an item will give, as far as the plain rule tells.
export function pointsGiven({ operation, body }, rate) {
  if (operation !== "bookPurchase" || !rate?.amount_minor) return 0;
  return Math.floor((body.amount_minor * rate.points) / rate.amount_minor);
}

// The server asks whether one is meant that looks like the one before. Of what it has not heard of,
// only the till can, while somebody is there to answer.
export function isTwin({ operation, body }, others, now, rules) {
  if (operation !== "bookPurchase" || body.repeat) return false;
  const since = now - (rules?.repeat_seconds ?? 0) * 1000;
  return others.some(
    (other) =>
      other.operation === operation &&
      other.body.amount_minor === body.amount_minor &&
      Date.parse(other.made_at) > since,
  );
}

// Null, or the code of why not. `member` as last seen, `waiting` what waits of the same member.
export function refusedOffline(item, { offlinePoints, member, waiting }) {
  if (SAFE.has(item.operation)) return null;
  if (item.operation !== SPENDING || !offlinePoints) return "needs_network";
  const points = pointsSpent(item, member);
  if (points === null || member?.balance === undefined) return "offline_limit";
  const spent = waiting.reduce((sum, one) => sum + one.spends, 0);
  return spent + points <= Math.min(offlinePoints, member.balance) ? null : "offline_limit";
}
