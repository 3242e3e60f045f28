// Looking for a member by name, phone or e-mail: at the server, or among those this till has seen.

import { ask as request, Offline, Problem } from "./net.js";
import * as records from "./records.js";
import { clone, dialog, slots } from "./view-parts.js";
import { arrive } from "./view-arrive.js";
import { why } from "./view-book.js";
import { clock, counted, moment, say } from "./view-words.js";

const AFTER_MS = 250;
const LETTERS_MIN = 2;

/** Ask for a name and go to the member that is chosen. */
export async function openSearch() {
  const chosen = await dialog("dialog-search", (node, parts, close) => {
    let asked = 0;
    let timer = 0;
    const show = (found, words) => {
      parts.words.textContent = words;
      parts.found.replaceChildren(...found.map((one) => {
        const row = clone("part-found");
        const own = slots(row);
        own.name.textContent = one.name;
        own.hint.textContent = one.hint;
        row.firstElementChild.addEventListener("click", () => close(one.handle));
        return row;
      }));
    };
    const look = async () => {
      const text = parts.text.value.trim();
      const mine = ++asked;
      if ([...text].length < LETTERS_MIN) {
        show([], say("search_short"));
        return;
      }
      const [found, words] = await find(text);
      if (mine === asked) show(found, words);
    };
    parts.text.addEventListener("input", () => {
      window.clearTimeout(timer);
      timer = window.setTimeout(look, AFTER_MS);
    });
    parts.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        parts.found.querySelector("button")?.click();
      } else if (event.key === "ArrowDown") {
        event.preventDefault();
        parts.found.querySelector("button")?.focus();
      }
    });
    parts.found.addEventListener("keydown", (event) => {
      const rows = [...parts.found.querySelectorAll("button")];
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      (rows[rows.indexOf(document.activeElement) + step] ?? (step < 0 ? parts.text : rows.at(-1))).focus();
    });
  });
  if (chosen) await arrive(chosen, { quiet: true });
}

/** Enough to tell people of the same name apart, and nothing to reach them by. */
function hintOf({ tier_name: tier, phone_end: end, last_visit_at: last }) {
  const visit = last && say("last_visit_at", { time: moment(last) });
  return [tier, end && say("phone_end", { digits: end }), visit].filter(Boolean).join(" · ");
}

async function find(text) {
  try {
    const { found, more } = await request("/till/api/members/find", { method: "POST", body: { find: text } });
    const words = found.length ? counted("search_found", found.length) : say("search_none");
    return [found.map((one) => ({ ...one, hint: hintOf(one) })), more ? `${words} ${say("search_more")}` : words];
  } catch (problem) {
    if (problem instanceof Problem) return [[], why(problem)];
    if (!(problem instanceof Offline)) throw problem;
    const seen = await records.search(text);
    const found = seen.map(({ member, seenAt }) => ({
      name: member.name,
      hint: [member.tier_name, say("as_of", { time: clock(seenAt) })].filter(Boolean).join(" · "),
      handle: member.code,
    }));
    return [found, say(found.length ? "search_seen" : "search_none_offline")];
  }
}
