// The name appears on the card while it is typed; a screen that shows the
// invitation to a phone moves on by itself once the phone has the card.

import { write } from "./faces.js";

const field = document.querySelector("#name");
const card = document.querySelector(".likely-card");
const shown = card?.querySelector("[data-live=name]");
if (field && shown) {
  field.addEventListener("input", () => {
    write(shown, field.value.trim().replace(/\s+/g, " ") || card.dataset.sample);
  });
}

// Light on the server, and not for ever: whoever comes back later has the link.
const ASK_EVERY_MS = 2_000;
const ASK_FOR_MS = 10 * 60_000;

const waiting = document.querySelector("[data-desk]");
if (waiting) {
  const began = Date.now();
  const known = waiting.dataset.deskFrom ?? "waiting";
  const ask = async () => {
    if (Date.now() - began > ASK_FOR_MS) return;
    if (!document.hidden) {
      try {
        const answer = await fetch(waiting.dataset.desk, { headers: { Accept: "application/json" } });
        if (answer.ok && (await answer.json()).progress !== known) {
          if (waiting.dataset.deskNext) window.location.assign(waiting.dataset.deskNext);
          else window.location.reload();
          return;
        }
      } catch {
        // The network was away: ask again.
      }
    }
    window.setTimeout(ask, ASK_EVERY_MS);
  };
  window.setTimeout(ask, ASK_EVERY_MS);
}
