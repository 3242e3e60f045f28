// The front door: the list of things to try ticks itself, and a reset is waited for.

const LOOK_EVERY_MS = 2500;
const RESET_EVERY_MS = 400;
const SLOW_AFTER_MS = 20000;

const ask = async (address) => {
  const answer = await fetch(address, { cache: "no-store" });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
};

// Where there is room for both, the till opens with the phone beside it.
for (const form of document.querySelectorAll(".doors form[data-role=cashier]")) {
  form.addEventListener("formdata", (event) => {
    if (window.matchMedia("(min-width: 64rem)").matches) event.formData.set("beside", "1");
  });
}

const list = document.querySelector("[data-state]");
if (list) {
  const items = [...list.querySelectorAll(".steps > li")];
  const show = (steps) => {
    steps.forEach((done, place) => {
      items[place].classList.toggle("done", done);
      items[place].querySelector("[data-done]").hidden = !done;
    });
    const all = steps.every(Boolean);
    list.querySelector("[data-all-done]").hidden = !all;
    list.querySelector("[data-left-to-do]").hidden = all;
    return all;
  };
  const look = async () => {
    // Nobody sees it: a page in the background asks nothing.
    if (document.visibilityState === "visible") {
      try {
        if (show((await ask(list.dataset.state)).steps)) return;
      } catch {
        // The service is just starting again, or ended: the next look will tell.
      }
    }
    window.setTimeout(look, LOOK_EVERY_MS);
  };
  window.setTimeout(look, LOOK_EVERY_MS);
}

const waiting = document.querySelector("[data-resetting]");
if (waiting) {
  const began = performance.now();
  const look = async () => {
    try {
      if (!(await ask(waiting.dataset.resetting)).resetting) {
        window.location.replace(waiting.dataset.home);
        return;
      }
    } catch {
      // It is being put back: nobody answers for a moment.
    }
    waiting.querySelector("[data-slow]").hidden = performance.now() - began < SLOW_AFTER_MS;
    window.setTimeout(look, RESET_EVERY_MS);
  };
  window.setTimeout(look, RESET_EVERY_MS);
}
