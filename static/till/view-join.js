// A new member: the customer scans a code and joins on their own phone, or the cashier types the name.

import { fail } from "./feedback.js";
import { book, why } from "./view-book.js";
import { clone, once, slots, tell } from "./view-parts.js";
import { booked } from "./view-receipt.js";
import { go, screen } from "./view-stage.js";
import { till } from "./view-state.js";
import { say } from "./view-words.js";

screen("join", () => {
  const node = clone("screen-join");
  const parts = slots(node);
  const { slug } = till.now.programme;
  const place = till.now.till?.location ?? till.now.place?.location;
  parts.picture.src = `/join/${slug}/code.svg?${new URLSearchParams({ from: "till", ...(place ? { at: place } : {}) })}`;
  parts.picture.addEventListener("error", () => { parts.figure.hidden = true; });

  const { joining } = till.now.programme;
  for (const name of ["email", "phone"]) {
    parts[`${name}Field`].hidden = joining[name] === "off";
    parts[`${name}Optional`].hidden = joining[name] === "required";
  }
  // A birthday is nobody's to say but the customer's own.
  parts.form.hidden = joining.birthday === "required";

  const refuse = (problem) => {
    fail();
    tell(parts.alert, why(problem));
    const wrong = ["email", "phone"].find((name) => problem.code.startsWith(name)) ?? "name";
    parts[wrong].setAttribute("aria-invalid", "true");
    parts[wrong].focus();
  };
  if (!till.queue.online) tell(parts.alert, say("joining_offline"));
  parts.form.addEventListener("submit", (event) => {
    event.preventDefault();
    tell(parts.alert, "");
    const name = parts.name.value.trim();
    for (const field of [parts.name, parts.email, parts.phone]) field.removeAttribute("aria-invalid");
    tell(parts.nameWrong, name ? "" : say("name_missing"));
    if (!name) {
      parts.name.setAttribute("aria-invalid", "true");
      parts.name.focus();
      return;
    }
    once(parts.make, async () => {
      const about = { code: null, name, words: say("new_member") };
      const result = await book({
        operation: "enrolMember",
        body: {
          name,
          ...(parts.email.value.trim() ? { email: parts.email.value.trim() } : {}),
          ...(parts.phone.value.trim() ? { phone: parts.phone.value.trim() } : {}),
          language: document.documentElement.lang.split("-")[0],
        },
        about,
        expected: {},
      });
      if (result.state === "given-up") return;
      if (result.state === "refused") refuse(result.problem);
      else await booked({ kind: "member", result, about, member: result.answer?.code ? { name, code: result.answer.code } : null });
    });
  });
  parts.back.addEventListener("click", () => go("scan"));
  return {
    node,
    focus: parts.form.hidden ? undefined : parts.name,
    keys: (event) => {
      if (event.key !== "Escape") return false;
      go("scan");
      return true;
    },
  };
});
