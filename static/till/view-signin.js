// Before work: a till that is not paired, the people who work here, and their PINs.

import { fail, succeed } from "./feedback.js";
import { Offline, Problem } from "./net.js";
import { unlock } from "./lock.js";
import { why } from "./view-book.js";
import { clone, once, slots, tell } from "./view-parts.js";
import { keypad } from "./view-pad.js";
import { go, screen } from "./view-stage.js";
import { till } from "./view-state.js";
import { say } from "./view-words.js";

let begin = null;

/** What to do once somebody is signed in: `then(person)`. */
export function onSignedIn(then) {
  begin = then;
}

screen("pair", ({ again = () => location.reload(), trouble = "", isBlocked = false }) => {
  const node = clone("screen-pair");
  const parts = slots(node);
  if (isBlocked) parts.title.textContent = say("till_blocked");
  tell(parts.wrong, trouble);
  parts.again.addEventListener("click", () => once(parts.again, again));
  return { node };
});

screen("signin", () => {
  const node = clone("screen-signin");
  const parts = slots(node);
  const people = till.now.cashiers;
  parts.place.textContent = [till.now.till?.shop_name, till.now.till?.name].filter(Boolean).join(" · ");
  parts.nobody.hidden = people.length > 0;
  parts.people.replaceChildren(...people.map((one) => {
    const row = clone("part-person");
    const own = slots(row);
    own.letter.textContent = [...one.name][0] ?? "";
    own.name.textContent = one.name;
    row.firstElementChild.addEventListener("click", () => go("pin", { person: one }));
    return row;
  }));
  return { node, focus: people.length === 1 ? parts.people.querySelector("button") : undefined };
});

screen("pin", ({ person }) => {
  const node = clone("screen-pin");
  const parts = slots(node);
  parts.name.textContent = person.name;
  keypad(parts.pad, parts.pin);
  const enter = parts.form.querySelector("[type=submit]");
  parts.form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!parts.pin.value) return;
    once(enter, async () => {
      tell(parts.wrong, "");
      try {
        const { person: who } = await unlock({ login: person.login, pin: parts.pin.value });
        succeed();
        await begin(who);
      } catch (problem) {
        if (!(problem instanceof Offline || problem instanceof Problem)) throw problem;
        fail();
        parts.pin.value = "";
        parts.pin.setAttribute("aria-invalid", "true");
        tell(parts.wrong, problem instanceof Offline ? say("never_here") : why(problem));
        parts.pin.focus();
      }
    });
  });
  parts.other.addEventListener("click", () => go("signin"));
  return {
    node,
    focus: parts.pin,
    keys: (event) => {
      if (event.key === "Escape") go("signin");
      else if (/^[0-9]$/.test(event.key)) parts.pin.focus();
      else return false;
      return true;
    },
  };
});
