// Makes the till quicker. Everything here also works without it: the server
// reads the amount, computes the points and books once.

import { readCode } from "./till/codes.js";
import { listen } from "./till/wedge.js";

// The amount is echoed the way the server reads it, and confirmed by that.
for (const form of document.querySelectorAll("form[data-amount]")) {
  const field = form.elements.amount;
  const confirmed = form.elements.confirmed;
  const echo = form.querySelector("output");
  const approval = form.querySelector("[data-approval]");
  let asked = 0;
  let waiting = null;

  // For what a manager has to come, before it is refused for want of one.
  const announce = (words) => {
    if (approval.querySelector("[data-words]").textContent === words) return;
    approval.querySelector("[data-words]").textContent = words;
    approval.hidden = !words;
  };

  const ask = async () => {
    const typed = field.value.trim();
    const mine = ++asked;
    confirmed.value = "";
    if (!typed) {
      echo.textContent = "";
      announce("");
      return;
    }
    const address = new URL(echo.dataset.address, location.href);
    address.searchParams.set("amount", typed);
    try {
      const answer = await fetch(address, { headers: { Accept: "application/json" } });
      const said = await answer.json();
      if (mine !== asked) return;
      confirmed.value = said.minor ?? "";
      echo.textContent = said.words;
      echo.className = answer.ok ? "echo" : "wrong";
      announce(said.approval ?? "");
      field.toggleAttribute("aria-invalid", false);
    } catch {
      // The network is away or the session ended: sending the form will tell.
    }
  };

  let timer = 0;
  field.addEventListener("input", () => {
    confirmed.value = "";
    window.clearTimeout(timer);
    timer = window.setTimeout(() => { waiting = ask(); }, 120);
  });

  // Somebody may have typed before this was here.
  if (field.value.trim() && !confirmed.value) waiting = ask();

  // Enter may be quicker than the echo: wait for it, so that one press is enough.
  form.addEventListener("submit", async (event) => {
    if (confirmed.value || form.dataset.asked || cardCode(field.value)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    window.clearTimeout(timer);
    form.dataset.asked = "1";
    await (waiting = ask());
    form.requestSubmit();
    delete form.dataset.asked;
  }, { capture: true });
}

// A hand scanner types like a keyboard, wherever the focus is.
const scan = document.querySelector("form[data-scan]");

function cardCode(text) {
  for (const kind of ["letters", "digits16", "ean13"]) {
    const code = readCode(text, kind);
    if (code) return code;
  }
  return null;
}

listen({
  accept: (text) => cardCode(text) !== null,
  onText: (text) => open(cardCode(text)),
});

function open(code) {
  if (scan) {
    scan.elements.code.value = code;
    scan.requestSubmit();
  } else {
    location.assign(`/till/card/${code}`);
  }
}

// A photo is sent as soon as it was taken.
scan?.elements.photo?.addEventListener("change", (event) => {
  if (event.target.files.length) scan.requestSubmit();
});

// How long an undo is still possible, by the server's clock.
for (const form of document.querySelectorAll("form[data-until]")) {
  const left = form.querySelector("[data-left]");
  const loadedAt = performance.now();
  const span = Date.parse(form.dataset.until) - Date.parse(form.dataset.now);
  const words = new Intl.NumberFormat(document.documentElement.lang, { minimumIntegerDigits: 2 });
  const tick = () => {
    const seconds = Math.ceil((span - (performance.now() - loadedAt)) / 1000);
    if (seconds <= 0) {
      form.remove();
      return;
    }
    left.textContent = `${Math.floor(seconds / 60)}:${words.format(seconds % 60)}`;
    window.setTimeout(tick, 1000);
  };
  tick();
}
