// Taking the last booking back: from the queue if it was not sent yet, else by a reversing entry.

import { fail, succeed } from "./feedback.js";
import * as queue from "./queue.js";
import { book, why } from "./view-book.js";
import { announce, once } from "./view-parts.js";
import { serverTime, till } from "./view-state.js";
import { countdown, say } from "./view-words.js";

/**
 * Let `button` undo what was booked and count down in `left`. Ends by itself when it is too late:
 * `onEnd()`. `onDone(answer)` when it was undone, `onRefused(words)` when not. Gives {stop}.
 */
export function undoer(last, { button, left, onEnd, onDone, onRefused }) {
  let timer = 0;
  const tick = () => {
    const seconds = Math.ceil((last.until - serverTime()) / 1000);
    if (seconds <= 0) {
      forget(last);
      onEnd();
      return;
    }
    left.textContent = countdown(seconds);
    timer = window.setTimeout(tick, 1000);
  };
  button.onclick = () => once(button, async () => {
    window.clearTimeout(timer);
    const result = await undo(last);
    if (result.state === "refused") {
      fail();
      announce(why(result.problem), { urgent: true });
      onRefused(why(result.problem));
      tick();
      return;
    }
    forget(last);
    succeed();
    announce(say("undone"));
    onDone(result);
  });
  tick();
  return { stop: () => window.clearTimeout(timer) };
}

/** Undo `last` ({kind, result, about}); the outcome is one of the queue's. */
export async function undo({ kind, result, about }) {
  if (result.state === "practised") return { state: "practised", answer: null };
  if (result.state === "waiting" && (await queue.withdraw(result.key))) return { state: "withdrawn", answer: null };
  const path = result.answer?.id ? { receipt_id: result.answer.id } : { receipt_key: result.key };
  return reverse({ kind, path, about });
}

/** Book the way back: a guest's sale has no points to reverse, so its goods come back. */
export function reverse({ kind, path, about }) {
  const named = { ...about, words: say("undo_of", { what: about.words }) };
  if (kind === "sale") {
    const sale = path.receipt_id ? { sale_id: path.receipt_id } : path;
    return book({ operation: "takeBackSale", path: sale, body: {}, about: named });
  }
  return book({ operation: "undoReceipt", path, about: named });
}

function forget(last) {
  if (till.last === last) till.last = null;
}
