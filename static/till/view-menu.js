// Everything that is not the next customer.

import { mute, muted } from "./feedback.js";
import { dialog } from "./view-parts.js";
import { go, onStage } from "./view-stage.js";
import { isOpen, setPractice, till } from "./view-state.js";
import { redraw } from "./view-status.js";
import { number, say } from "./view-words.js";

/** Open the menu; `doing` are the things only the app itself can do: {lock, leave}. */
export async function openMenu(doing) {
  const chosen = await dialog("dialog-menu", (node, parts, close) => {
    for (const one of node.querySelectorAll("[data-signed]")) one.hidden = !isOpen();
    for (const one of node.querySelectorAll("[data-paired]")) one.hidden = !(isOpen() && till.now.paired);
    parts.place.closest("li").hidden = !isOpen() || till.now.paired;
    for (const one of node.querySelectorAll("[data-practice]")) one.hidden = !isOpen() || till.now.rules.practice === false;
    const { waiting, attention } = till.queue;
    parts.waiting.hidden = !(waiting + attention);
    parts.waiting.textContent = number(waiting + attention);
    const draw = () => {
      parts.mute.setAttribute("aria-pressed", String(!muted()));
      parts.muteState.textContent = say(muted() ? "off" : "on");
      parts.practice.setAttribute("aria-pressed", String(till.practice));
      parts.practiceState.textContent = say(till.practice ? "on" : "off");
    };
    draw();
    node.addEventListener("click", (event) => {
      const action = event.target.closest("[data-menu]")?.dataset.menu;
      if (action === "mute") mute(!muted());
      else if (action) close(action);
      draw();
    });
  });
  if (chosen === "practice") await practise(!till.practice);
  else if (chosen === "lock" || chosen === "leave") await doing[chosen]();
  else if (chosen) await go(chosen);
}

/** Begin or end practice; never in the middle of a sale. */
export async function practise(on) {
  if (!(await go("scan"))) return;
  setPractice(on);
  till.last = null;
  redraw();
  await go("scan", {}, { asked: false });
}

/** Whether nobody is in the middle of something. */
export function isIdle() {
  return ["scan", "mine", "attention", "help", "signin", "pair"].includes(onStage()?.name);
}
