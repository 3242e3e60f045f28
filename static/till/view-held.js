// A card that the demonstration's phone holds to the till, seen at any time as a hand scanner would see it.
// The page around this one hands its pixels over, and hears here what became of them.

import { decodeImage } from "./decoder.js";
import { fail } from "./feedback.js";
import { arrive, isAskable, isClaim, takeClaim } from "./view-arrive.js";
import { announce, toast } from "./view-parts.js";
import { onStage } from "./view-stage.js";
import { isOpen, till } from "./view-state.js";
import { say } from "./view-words.js";

/** Begin to look at what is held to this till. */
export function lookAtHeld() {
  document.addEventListener("till:held", ({ detail: pixels }) => see(pixels));
}

async function see(pixels) {
  if (!isOpen()) {
    tell("held_locked");
    return;
  }
  // Somebody is asked something: the answer comes first, and a card would take the question away.
  if (document.querySelector("dialog[open]")) {
    tell("held_busy");
    return;
  }
  const { symbologies, former_symbologies: former = [] } = till.now.programme;
  let text;
  try {
    text = await decodeImage(pixels, symbologies, former);
  } catch {
    text = null;
  }
  if (!isOpen()) return;
  if (text === null) tell("held_empty");
  else if (isClaim(text)) await takeClaim(text);
  else if (!isAskable(text)) tell("not_a_card");
  else await greet(text);
}

async function greet(text) {
  const { name, code } = onStage();
  const wasHere = await arrive(text);
  // The same customer once more: what was typed is still there, and nothing else would show it.
  if (wasHere && name === "member" && onStage().code === code) toast(say("held_same", { name: onStage().called }));
}

function tell(words) {
  fail();
  toast(say(words));
  announce(say(words), { urgent: true });
}
