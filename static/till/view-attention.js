// What waits to be sent and what came back: nothing is ever dropped silently.

import { ask, clone, dialog, once, slots, tell, toast } from "./view-parts.js";
import * as queue from "./queue.js";
import { why } from "./view-book.js";
import { leavesByEscape } from "./view-mine.js";
import { go, screen } from "./view-stage.js";
import { serverTime, till } from "./view-state.js";
import { age, counted, exact, moment, say } from "./view-words.js";

screen("attention", () => {
  const node = clone("screen-attention");
  const parts = slots(node);

  const draw = async () => {
    const [waiting, attention] = await Promise.all([queue.waiting(), queue.attention()]);
    const { online, syncedAt, held } = till.queue;
    const contact = syncedAt ? say("last_contact", { time: moment(syncedAt) }) : "";
    const sum = waiting.length ? counted("waiting", waiting.length) : say("nothing_waits");
    parts.state.textContent = [say(online ? "online_text" : "offline_text"), sum, held ? say("held_back") : "", contact].filter(Boolean).join(" ");
    parts.waiting.hidden = waiting.length === 0;
    parts.attention.hidden = attention.length === 0;
    parts.send.hidden = waiting.length === 0;
    parts.waitingRows.replaceChildren(...waiting.map((item) => rowOf(item, false)));
    parts.attentionRows.replaceChildren(...attention.map((item) => rowOf(item, true)));
  };

  const rowOf = (item, settles) => {
    const row = clone("part-waiting");
    const own = slots(row);
    own.who.textContent = item.about?.name || item.about?.code || say("without_card");
    own.what.textContent = `${item.about?.words ?? ""} · ${moment(item.made_at)} · ${age(serverTime() - Date.parse(item.made_at))}`;
    own.what.title = exact(item.made_at);
    tell(own.why, reasonOf(item, settles));
    own.retry.hidden = item.reason?.kind !== "refused";
    own.settle.hidden = !settles;
    own.withdraw.hidden = settles || item.state !== "waiting";
    own.withdraw.addEventListener("click", async () => {
      const what = item.about?.words ?? "";
      if (!(await ask({ title: say("undo_title", { what }), yes: say("undo"), danger: true }))) return;
      toast(say((await queue.withdraw(item.key)) ? "undone" : "too_late"));
    });
    own.retry.addEventListener("click", () => once(own.retry, () => queue.retry(item.key)));
    own.settle.addEventListener("click", async () => {
      const note = await askNote();
      if (note === null) return;
      await queue.settle(item.key, note);
      toast(say("settled"));
    });
    return row;
  };

  parts.send.addEventListener("click", () => once(parts.send, () => queue.flush()));
  parts.next.addEventListener("click", () => go("scan"));
  const stop = queue.onChange(draw);
  return { node, leave: stop, keys: leavesByEscape };
});

function reasonOf({ state, tries, reason }, settles) {
  if (reason?.kind === "later" && reason.problem?.detail) return reason.problem.detail;
  if (!settles) return say(state === "asking" ? "state_asking" : tries ? "state_tried" : "state_waiting");
  if (reason?.kind === "review") return say("review_text");
  if (reason?.kind === "answered_late") return say("refused_answered_late");
  return reason?.problem ? why(reason.problem) : "";
}

function askNote() {
  return dialog("dialog-entry", (node, parts, close) => {
    parts.title.textContent = say("settle_title");
    tell(parts.text, say("settle_text"));
    parts.label.textContent = say("settle_note");
    parts.entry.removeAttribute("dir");
    parts.entry.maxLength = 200;
    parts.yes.textContent = say("settle");
    parts.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const note = parts.entry.value.trim();
      if (note) close(note);
      else {
        tell(parts.wrong, say("settle_missing"));
        parts.entry.focus();
      }
    });
  });
}
