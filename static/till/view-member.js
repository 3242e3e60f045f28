// The member at the counter: who, how many points, what is ready, what is nearly ready; and what they buy.

import { fail } from "./feedback.js";
import { ask as request, Offline, Problem } from "./net.js";
import { onChange } from "./queue.js";
import { amountForm } from "./view-amount.js";
import { cardNumber, mayDrop } from "./view-arrive.js";
import { book, why } from "./view-book.js";
import { announce, ask, clone, once, slots, tell } from "./view-parts.js";
import { booked } from "./view-receipt.js";
import { drawRewards } from "./view-rewards.js";
import { go, screen } from "./view-stage.js";
import { remember, till } from "./view-state.js";
import { day, exact, moment, money, number, points, say, signed, unit, visit } from "./view-words.js";

const QUOTE_WITHIN_MS = 4000;
const LONG_WORD_LETTERS = 12;

screen("member", ({ member, kept = null }) => {
  const node = clone("screen-member");
  const parts = slots(node);
  const called = member.name || cardNumber(member.code);
  let latest = null;

  const refuse = (problem) => {
    fail();
    tell(parts.alert, why(problem));
    if (problem.code === "card_voided" || problem.code === "session_ended") announce(why(problem), { urgent: true });
    amount.field.focus();
  };

  // An amount is booked; any refusal leaves it where it is.
  const confirm = (basket, quoted, button) => once(button, async () => {
    tell(parts.alert, "");
    const about = { code: member.code, name: called, words: money(basket.amount_minor) };
    const result = await book({
      operation: "bookPurchase",
      body: { code: member.handle ?? member.code, ...basket },
      about,
      expected: {
        points: quoted?.points ?? estimate(basket.amount_minor),
        balance_before: member.balance,
        balance: quoted?.balance ?? member.balance,
        amount_minor: basket.amount_minor,
        why: quoted?.reasons,
      },
    });
    if (result.state === "given-up") return;
    if (result.state === "refused") {
      refuse(result.problem);
      return;
    }
    await booked({ kind: "purchase", result, about, member, basket, quoted });
  });

  const quote = async (basket) => {
    if (member.unknown || !till.queue.online) return estimated(basket);
    try {
      const answer = await request("/till/api/quotes", {
        method: "POST",
        body: { code: member.handle ?? member.code, ...basket },
        timeoutMs: QUOTE_WITHIN_MS,
      });
      latest = answer;
      drawRewards(parts, member, context);
      return { ...answer, reasons: answer.why, words: `= ${points(answer.points)}` };
    } catch (problem) {
      if (problem instanceof Offline) return estimated(basket);
      if (!(problem instanceof Problem)) throw problem;
      return { words: why(problem), reasons: [], points: 0, estimated: true };
    }
  };
  const estimated = (basket) => {
    const about = estimate(basket.amount_minor);
    const words = about === null ? say("quote_later") : say("quote_estimate", { points: points(about) });
    return { words, points: about ?? 0, reasons: [], estimated: true, balance: member.balance };
  };

  const amount = amountForm({ quote, confirm });
  amount.placeIn(parts);

  const context = {
    amount,
    refuse,
    quoted: () => latest,
    // What was typed is not what was redeemed: it is still to be booked.
    onBooked: (detail) => booked({ ...detail, member, kept: amount.isEmpty() ? null : { ...amount.save(), words: typedWords(amount) } }),
  };

  amount.onChange(() => remember(amount.isEmpty() ? null : { code: member.handle ?? member.code, ...amount.save() }));
  if (kept) amount.restore(kept);
  drawWho(parts, member, called);
  drawOffers(parts, member);
  drawRewards(parts, member, context);
  drawRecent(parts, member);
  parts.next.addEventListener("click", () => go("scan"));
  let online = till.queue.online;
  const stop = onChange((state) => {
    if (state.online !== online) drawRewards(parts, member, context);
    online = state.online;
  });

  return {
    node,
    focus: amount.field,
    code: member.code,
    called,
    isEmpty: amount.isEmpty,
    /** What was typed, if it is for this member: their card may be scanned again. */
    keptFor: (other) => (isSame(member, other) && !amount.isEmpty() ? amount.save() : null),
    leave: () => {
      stop();
      remember(null);
    },
    claim: (text) => claim(text, member, called, refuse),
    mayLeave: () => amount.isEmpty() || mayDrop(typedWords(amount)),
    keys: (event) => {
      if (event.key !== "Escape") return amount.takes(event);
      if (amount.isEmpty()) go("scan");
      else amount.clear();
      return true;
    },
  };
});

function isSame(one, other) {
  return one.code === other.code || (one.member_id !== undefined && one.member_id === other.member_id);
}

/** A receipt of somebody who had no card with them: its points, once, for the member who shows it. */
async function claim(text, member, called, refuse) {
  const about = { code: member.code, name: called, words: say("claim_words") };
  if (!(await ask({ title: say("claim_title"), text: called, yes: say("claim_add") }))) return;
  const result = await book({ operation: "claimSale", body: { code: member.handle ?? member.code, claim: text }, about });
  if (result.state === "refused") refuse(result.problem);
  else if (result.state !== "given-up") await booked({ kind: "claim", result, about, member });
}

/** Points that a purchase gives by the ordinary rate alone; null where there is no such rate. */
function estimate(amountMinor) {
  const rate = till.now.programme.points_per;
  return rate && amountMinor !== null ? Math.floor((amountMinor * rate.points) / rate.amount_minor) : null;
}

function typedWords(amount) {
  const { amount_minor: minor } = amount.basket();
  return minor === null ? amount.field.value : money(minor);
}

function drawWho(parts, member, called) {
  parts.name.textContent = called;
  // Beside a large balance such a word would break: then the balance stands below.
  parts.card.classList.toggle("long-name", called.split(/[\s-]/u).some((word) => word.length > LONG_WORD_LETTERS));
  tell(parts.tier, member.tier_name);
  parts.birthday.hidden = !member.birthday;
  if (member.balance === null) {
    parts.balance.textContent = "…";
    tell(parts.asOf, say("unknown_card"));
  } else {
    parts.balance.textContent = number(member.balance);
    parts.unit.textContent = unit(member.balance);
    tell(parts.asOf, member.seenAt ? asOf(member) : "");
  }
  parts.card.classList.toggle("stale", Boolean(member.seenAt || member.unknown));
  const facts = [];
  if (member.name && !member.code.startsWith("~")) facts.push(["card_number", cardNumber(member.code)]);
  if (member.stamps_needed) facts.push(["stamps", say("so_many_of", { count: number(member.stamps), all: number(member.stamps_needed) })]);
  if (member.pending) facts.push(["pending", points(member.pending)]);
  if (member.held) facts.push(["held", points(member.held)]);
  if (member.expiring) facts.push(["expiring", say("expiring_at", { points: points(member.expiring.points), day: day(member.expiring.at) })]);
  if (member.last_visit_at) facts.push(["last_visit", visit(member.last_visit_at)]);
  if (member.identified === "found") facts.push(["found", say("found_text")]);
  parts.facts.replaceChildren(...facts.map(([term, value]) => {
    const row = clone("part-fact");
    const own = slots(row);
    row.dataset.fact = term;
    own.term.textContent = say(term);
    own.value.textContent = value;
    return row;
  }));
}

function asOf({ seenAt, waitingPoints: waits }) {
  const time = moment(seenAt);
  return waits ? say("as_of_waiting", { time, points: `${signed(waits)} ${unit(waits)}` }) : say("as_of", { time });
}

function drawOffers(parts, member) {
  parts.offers.hidden = !member.offers?.length;
  parts.offerRows.replaceChildren(...(member.offers ?? []).map((offer) => {
    const row = clone("part-offer");
    const own = slots(row);
    own.name.textContent = offer.title;
    const until = offer.ends_at ? say("until", { time: moment(offer.ends_at) }) : "";
    tell(own.words, [offer.text, until].filter(Boolean).join(" · "));
    own.counts.hidden = false;
    return row;
  }));
}

function drawRecent(parts, member) {
  parts.recent.hidden = !member.recent?.length;
  parts.recentRows.replaceChildren(...(member.recent ?? []).map((receipt) => {
    const row = clone("part-visit");
    const own = slots(row);
    own.what.textContent = receiptWords(receipt);
    own.when.textContent = moment(receipt.occurred_at);
    own.when.title = exact(receipt.occurred_at);
    own.points.textContent = signed(receipt.points);
    row.classList.toggle("undone", Boolean(receipt.undone_by));
    return row;
  }));
}

/** What a receipt was for, in words. */
export function receiptWords(receipt) {
  if (receipt.kind === "undo") return say("undone");
  if (receipt.kind === "return") return receipt.refund_minor ? say("returned_for", { amount: money(receipt.refund_minor) }) : say("returned");
  if (receipt.kind === "welcome") return say("welcome_points");
  if (receipt.reward_name || receipt.reward) return receipt.reward_name ?? receipt.reward;
  if (receipt.amount_minor !== null) return money(receipt.amount_minor);
  return receipt.points ? points(receipt.points) : say("booked");
}

