// It is booked: old balance, new balance, a way back, and by itself on to the next customer.

import { succeed } from "./feedback.js";
import { ask as request, Offline, Problem } from "./net.js";
import { reasonRow } from "./view-amount.js";
import { look } from "./view-arrive.js";
import { announce, clone, once, slots, tell, toast } from "./view-parts.js";
import { go, screen } from "./view-stage.js";
import { serverTime, till } from "./view-state.js";
import { undoer } from "./view-undo.js";
import { money, number, points, say, signed, unit } from "./view-words.js";

const NEWS_SECONDS = 4;

/** Show what was booked: `kind` "purchase", "reward", "sale", "return" or "member"; `result` of the queue. */
export async function booked(detail) {
  succeed();
  const { result, about, member } = detail;
  const answer = result.answer ?? {};
  const change = result.state === "waiting" || answer.points === undefined || answer.points === null
    ? about.words
    : `${signed(answer.points)} ${unit(answer.points)}`;
  till.last = mayUndo(detail)
    ? { kind: detail.kind, result, about, name: member?.name || about.name || "", change, until: undoUntil(answer) }
    : null;
  const stays = detail.kind === "member" || Boolean(detail.kept) || Boolean(answer.claim_url) || result.state === "review";
  if (till.now.rules.back_seconds === 0 && !stays) await go("scan", {}, { asked: false });
  else await go("receipt", { ...detail, stays }, { asked: false });
}

function mayUndo({ kind, result, member }) {
  if (kind === "member" || result.state === "review") return false;
  if (kind === "sale") return result.state !== "booked" || Boolean(result.answer?.id);
  return Boolean(member) && (result.state !== "booked" || Boolean(result.answer?.undo_until));
}

function undoUntil(answer) {
  const until = answer.undo_until ? Date.parse(answer.undo_until) : Infinity;
  return Math.min(until, serverTime() + till.now.rules.undo_seconds * 1000);
}

/** What is worth telling the customer besides the points, as {icon, words}: a level, a full stamp card, a reward. */
function newsOf({ tier_reached: reached, stamp_rewards: filled, balance_before: before, balance }, member, name) {
  const { tiers = [], stamp_reward: stamped } = till.now.programme;
  const news = [];
  const tier = tiers.find((one) => one.key === reached);
  // As one would say it: a person by the first of their names.
  const called = member?.name ? name.split(/\s/u)[0] : name;
  if (tier) news.push({ icon: "star", words: say("tier_reached", { name: called, tier: tier.name }) });
  if (filled && stamped) news.push({ icon: "gift", words: say("stamps_full", { reward: stamped }) });
  // The dearest that came within reach is what people come for.
  const [ready] = (member?.rewards ?? [])
    .filter((one) => one.kind !== "points_as_money" && one.points > before && one.points <= balance)
    .filter((one) => !one.refused || one.refused === "not_enough_points")
    .sort((a, b) => b.points - a.points);
  if (ready) news.push({ icon: "gift", words: say("ready_now", { reward: ready.name }) });
  return news;
}

screen("receipt", ({ kind, result, about, member, quoted, stays, kept }) => {
  const node = clone("screen-receipt");
  const parts = slots(node);
  const answer = result.answer ?? {};
  const certain = result.state === "booked" || result.state === "practised";

  parts.box.dataset.state = result.state;
  parts.mark.setAttribute("href", certain ? "#icon-done" : "#icon-wait");
  parts.title.textContent = titleOf(kind, result, about, answer);
  tell(parts.who, member?.name || about.name);
  const isCounted = certain && typeof answer.points === "number" && kind !== "sale" && kind !== "member";
  // A reward that was theirs already moves no points.
  const isFree = kind === "reward" && answer.points === 0;
  if (isCounted && !isFree) {
    parts.change.hidden = parts.balances.hidden = false;
    parts.points.textContent = signed(answer.points);
    parts.unit.textContent = unit(answer.points);
    parts.before.textContent = number(answer.balance_before);
    parts.after.textContent = number(answer.balance);
  }
  const estimate = result.state === "waiting" && quoted?.points ? say("about_points", { points: points(quoted.points) }) : "";
  tell(parts.note, noteOf(result, estimate) || (isCounted && isFree ? say("free_text") : ""));
  const news = isCounted && kind !== "return" ? newsOf(answer, member, parts.who.textContent) : [];
  parts.news.hidden = news.length === 0;
  parts.news.replaceChildren(...news.map(({ icon, words }) => {
    const row = clone("part-news");
    const own = slots(row);
    own.icon.setAttribute("href", `#icon-${icon}`);
    own.words.textContent = words;
    return row;
  }));
  const change = parts.change.hidden ? estimate : `${signed(answer.points)} ${unit(answer.points)}`;
  announce([parts.title.textContent, change, ...news.map(({ words }) => words), parts.note.textContent].filter(Boolean).join(". "));

  const code = answer.claim_url ?? answer.card_url;
  if (code) drawCode(parts, code, say(answer.claim_url ? "claim_caption" : "card_caption"));
  const reasons = answer.why ?? quoted?.reasons ?? [];
  if (certain && reasons.length > 1) {
    parts.why.hidden = false;
    parts.reasons.replaceChildren(...reasons.map(reasonRow));
  }

  // What is to be said aloud takes its time.
  const more = news.length ? NEWS_SECONDS : 0;
  const back = leaveBy(parts, stays ? null : till.now.rules.back_seconds + more);
  tell(parts.number, answer.id && kind !== "member" ? say("receipt_number", { number: answer.id }) : "");
  const mayAgain = member && kind !== "member" && !kept;
  parts.same.hidden = !(mayAgain || kind === "member");
  parts.same.textContent = say(kind === "member" ? "book_for_member" : "same_again");
  const goOn = (button) => once(button, async () => {
    back.stop();
    try {
      const seen = await look(member?.handle ?? member?.code ?? answer.code);
      await go("member", { member: seen, kept });
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      tell(parts.alert, problem.detail);
    }
  });
  parts.same.addEventListener("click", () => goOn(parts.same));
  // A reward was had while an amount was typed, which is still to be booked.
  if (kept) parts.nextWords.textContent = say("go_on_with", { amount: kept.words });
  parts.next.addEventListener("click", () => (kept ? goOn(parts.next) : go("scan")));

  let undo = null;
  if (till.last) {
    parts.undo.hidden = false;
    undo = undoer(till.last, {
      button: parts.undo,
      left: parts.left,
      onEnd: () => { parts.undo.hidden = true; },
      onDone: ({ answer: undone }) => {
        parts.undo.hidden = true;
        parts.box.dataset.state = "undone";
        parts.mark.setAttribute("href", "#icon-undo");
        parts.title.textContent = say("undone");
        parts.change.hidden = parts.news.hidden = true;
        parts.figure.hidden = true;
        parts.why.hidden = true;
        tell(parts.note, "");
        if (typeof undone?.balance === "number") {
          parts.before.textContent = number(undone.balance_before);
          parts.after.textContent = number(undone.balance);
        } else if (certain) {
          parts.balances.hidden = true;
        }
        back.restart();
        parts.next.focus();
      },
      onRefused: (words) => tell(parts.alert, words),
    });
  }

  return {
    node,
    focus: parts.next,
    leave: () => {
      back.stop();
      undo?.stop();
    },
    keys: (event) => {
      if (event.key !== "Escape") return false;
      go("scan");
      return true;
    },
  };
});

function titleOf(kind, result, about, answer) {
  if (result.state === "waiting") return say("kept_title", { what: about.words });
  if (result.state === "review") return say("review_title");
  if (result.state === "practised") return say("practised_title");
  if (kind === "member") return say("member_made");
  if (kind === "return") return say("returned_for", { amount: money(answer.refund_minor ?? 0) });
  return about.words;
}

function noteOf(result, estimate) {
  if (result.state === "waiting") return [estimate, say("kept_text")].filter(Boolean).join(" ");
  if (result.state === "review") return say("review_text");
  if (result.state === "practised") return say("practised_text");
  return "";
}

/** A code that the customer scans with their own phone; drawn by the server. */
async function drawCode(parts, address, caption) {
  try {
    const { svg } = await request("/till/api/codes", { method: "POST", body: { text: address } });
    parts.picture.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
    parts.picture.alt = caption;
    parts.caption.textContent = caption;
    parts.figure.hidden = false;
  } catch (problem) {
    if (!(problem instanceof Offline || problem instanceof Problem)) throw problem;
    toast(say("no_code"));
  }
}

/** Go back to scanning after so many seconds, unless somebody touches anything before. */
function leaveBy(parts, seconds) {
  let timer = 0;
  let left = 0;
  const stop = () => {
    window.clearTimeout(timer);
    parts.back.textContent = "";
    document.removeEventListener("pointerdown", stop, { capture: true });
    document.removeEventListener("keydown", stop, { capture: true });
  };
  const tick = () => {
    if (left <= 0) {
      stop();
      if (!document.querySelector("dialog[open]")) go("scan");
      return;
    }
    parts.back.textContent = number(left);
    left -= 1;
    timer = window.setTimeout(tick, 1000);
  };
  const restart = () => {
    stop();
    if (!seconds) return;
    left = seconds;
    document.addEventListener("pointerdown", stop, { capture: true });
    document.addEventListener("keydown", stop, { capture: true });
    tick();
  };
  restart();
  return { stop, restart };
}
