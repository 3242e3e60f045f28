// Booking: every write goes through the queue. What the server asks back on the way — a manager, a code from
// the member's e-mail, "really twice?" — is asked here, and the same item is booked again under its own key.

import { ask as request, Offline, Problem } from "./net.js";
import { announce, ask, dialog, once, tell } from "./view-parts.js";
import * as queue from "./queue.js";
import { till } from "./view-state.js";
import { say } from "./view-words.js";

const PATIENCE_MS = 4000;
const OWN_REFUSALS = new Set(["storage_full", "offline_limit", "needs_network", "no_answer", "answered_late", "pin_wrong", "pin_locked"]);
const QUESTIONS = {
  approval_needed: approve,
  looks_repeated: repeat,
  card_needed: oneTime,
  one_time_code_needed: oneTime,
  one_time_code_wrong: oneTime,
};

/**
 * Book one thing. `about` is {code, name, words} for lists, `expected` what practice mode pretends to answer.
 * Gives {state: "booked" | "refused" | "review" | "waiting" | "practised" | "given-up", key, answer, problem}.
 */
export async function book({ operation, path = {}, body = {}, about, expected = {} }) {
  if (till.practice) return { state: "practised", key: null, answer: expected };
  let given = body;
  let key;
  for (;;) {
    const result = await queue.book({ operation, path, body: given, about, key, patienceMs: PATIENCE_MS });
    const question = result.state === "refused" ? QUESTIONS[result.problem.code] : null;
    if (!question) return result;
    key = result.key;
    const more = await question({ result, operation, path, given, about });
    if (more === null) return { ...result, state: "given-up" };
    given = { ...given, ...more };
  }
}

/** Words for why something did not work. */
export function why(problem) {
  if (problem instanceof Offline) return say("no_network");
  // What the till itself refuses has a code and no words.
  return problem.detail || say(OWN_REFUSALS.has(problem.code) ? `refused_${problem.code}` : "went_wrong");
}

async function repeat({ about }) {
  const again = await ask({
    title: say("looks_repeated"),
    text: say("looks_repeated_text", { what: about.words, name: about.name || about.code || say("a_customer") }),
    yes: say("book_again"),
    no: say("do_not_book"),
  });
  return again ? { repeat: true } : null;
}

function approve({ result, operation, path, given, about }) {
  return dialog("dialog-approval", (node, parts, close) => {
    tell(parts.what, [about.words, about.name].filter(Boolean).join(" · "));
    tell(parts.text, result.problem.detail);
    const managers = till.now.cashiers.filter((one) => one.approves ?? true);
    parts.manager.replaceChildren(...managers.map((one) => new Option(one.name, one.login)));
    parts.form.addEventListener("submit", async (event) => {
      event.preventDefault();
      tell(parts.wrong, "");
      try {
        const { approval } = await request("/till/api/approvals", {
          method: "POST",
          // What the manager agrees to is this item, and none other under its key.
          body: { login: parts.manager.value, pin: parts.pin.value, key: result.key, operation, path, body: given },
        });
        close({ approval });
      } catch (problem) {
        if (!(problem instanceof Offline || problem instanceof Problem)) throw problem;
        tell(parts.wrong, why(problem));
        parts.pin.value = "";
        parts.pin.focus();
      }
    });
  });
}

async function oneTime({ result, given }) {
  // The member's own page shows it too: a letter that cannot be sent is no end.
  const send = async () => {
    try {
      await request("/till/api/one-time-codes", { method: "POST", body: { handle: given.code } });
      return say("one_time_sent");
    } catch (problem) {
      if (!(problem instanceof Offline || problem instanceof Problem)) throw problem;
      return why(problem);
    }
  };
  const said = given.one_time ? "" : await send();
  return dialog("dialog-entry", (node, parts, close) => {
    parts.title.textContent = say("one_time_title");
    tell(parts.text, said);
    parts.label.textContent = say("one_time_label");
    parts.entry.inputMode = "numeric";
    parts.entry.maxLength = 8;
    parts.yes.textContent = say("continue");
    parts.other.hidden = false;
    parts.other.textContent = say("send_again");
    parts.other.addEventListener("click", () => once(parts.other, async () => {
      tell(parts.text, await send());
      announce(parts.text.textContent);
    }));
    if (given.one_time) tell(parts.wrong, result.problem.detail);
    parts.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const digits = parts.entry.value.replace(/\D/g, "");
      if (digits.length === 6) close({ one_time: digits });
      else tell(parts.wrong, say("one_time_six"));
    });
  });
}
