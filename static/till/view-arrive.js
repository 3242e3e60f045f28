// Somebody stands at the counter: from a code or a handle to the member's screen.

import { grouped, isOwnShape, mayBeKnown, normalise, readCode } from "./codes.js";
import { fail, succeed } from "./feedback.js";
import { ask as request, Offline, Problem } from "./net.js";
import * as records from "./records.js";
import { announce, ask, toast } from "./view-parts.js";
import { go, onStage } from "./view-stage.js";
import { till } from "./view-state.js";
import { say } from "./view-words.js";
import { why } from "./view-book.js";

const PATIENCE_MS = 4000;
let arriving = 0;

/** Whether a text is surely a code of this programme's cards. */
export function isCode(text) {
  return readCode(text, till.now.programme.code_kind) !== null;
}

/** Whether a text is the code of a guest's receipt, with which points are collected later. */
export function isClaim(text) {
  return /[?&]claim=/.test(text);
}

/** A guest's receipt was scanned: its points go to the member who is here, or to the next one. */
export async function takeClaim(text) {
  if (onStage().claim) {
    await onStage().claim(text);
    return;
  }
  till.claim = text;
  announce(say("claim_first"));
  toast(say("claim_first"));
}

/** Whether what was scanned is worth a question: codes of a former system only the server knows. */
export function isAskable(text) {
  return isCode(text) || mayBeKnown(text);
}

/** Whether what was typed is surely mistyped: it looks like one of our codes, and its check character is wrong. */
export function isMistyped(text) {
  return !isCode(text) && (isOwnShape(text, till.now.programme.code_kind) || !mayBeKnown(text));
}

/**
 * A card was scanned or typed, or a member chosen from a list: show who it is.
 * `name` is who it surely is, `found` what a search said. True when the member is shown.
 */
export async function arrive(code, { quiet = false, kept = null } = {}) {
  const mine = ++arriving;
  document.body.dataset.looking = "1";
  try {
    // First see who it is: an article's number scanned by mistake, or the same card again, costs no amount.
    const member = await look(code);
    if (mine !== arriving) return false;
    const still = onStage().keptFor?.(member) ?? kept;
    if (!still && !(await mayLeave())) return false;
    if (!quiet) succeed();
    await go("member", { member, kept: still }, { asked: false });
    announce(member.name || cardNumber(member.code));
    const { claim } = till;
    till.claim = null;
    if (claim) onStage().claim(claim);
    return true;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (mine !== arriving) return false;
    fail();
    if (onStage().isEmpty?.() === false || (!isCode(code) && onStage().name !== "scan")) {
      toast(why(problem));
      return false;
    }
    await go("scan", { wrong: why(problem), typed: code.startsWith("~") ? "" : code }, { asked: false });
    return false;
  } finally {
    delete document.body.dataset.looking;
  }
}

async function mayLeave() {
  return !onStage().mayLeave || onStage().mayLeave();
}

/** The member behind a code: from the server, or as last seen here where there is no network. */
export async function look(code) {
  // In groups, as the server writes it: what waits for a member is found by the same code.
  const read = readCode(code, till.now.programme.code_kind);
  const asked = read ? grouped(read) : code;
  try {
    const member = await request(`/till/api/members/${encodeURIComponent(asked)}`, { timeoutMs: PATIENCE_MS });
    await records.remember(member).catch(() => {}); // A full disk must not stop a sale.
    return { ...member, handle: asked.startsWith("~") ? asked : null };
  } catch (problem) {
    if (!(problem instanceof Offline)) throw problem;
    return recalled(asked);
  }
}

async function recalled(code) {
  const known = await records.recall(code);
  if (known) return { ...standing(known.member), seenAt: known.seenAt, waitingPoints: known.waitingPoints, handle: null };
  // Nobody this till has seen: points can still be collected, for whoever the card belongs to.
  return { code, name: "", balance: null, rewards: [], issued: [], offers: [], recent: [], as_money: [], unknown: true, identified: "card" };
}

// The balance may have moved since the server said what is ready: what waits here counts.
function standing(member) {
  const rewards = (member.rewards ?? []).map((one) => {
    const missing = Math.max(one.points - member.balance, 0);
    const isHindered = one.refused && one.refused !== "not_enough_points";
    return { ...one, missing, ready: !isHindered && missing === 0 };
  });
  const [next] = rewards.filter((one) => one.missing).sort((a, b) => a.missing - b.missing);
  return { ...member, rewards, next_reward: next ?? null };
}

/** A card's number in groups, however it came. */
export function cardNumber(code) {
  return grouped(normalise(code));
}

/** What to ask before an amount that is not booked yet is dropped. */
export function mayDrop(amount) {
  return ask({ title: say("drop_amount"), text: say("drop_amount_text", { amount }), yes: say("drop"), no: say("keep"), danger: true });
}
