// What is always in sight: whether there is a network, what waits, and what somebody should know.

import * as queue from "./queue.js";
import { announce, clone, slots } from "./view-parts.js";
import { go, onStage } from "./view-stage.js";
import { isOpen, serverTime, till } from "./view-state.js";
import { age, counted, say } from "./view-words.js";

const SKEW_SECONDS = 300;
const button = document.querySelector("#status");
const words = document.querySelector("#status-words");
const banners = document.querySelector("#banners");
const shown = new Map();

/** Begin to watch the queue. */
export function watch() {
  queue.onChange((state) => {
    const was = till.queue.online;
    till.queue = state;
    draw();
    if (was !== state.online) announce(say(state.online ? "online_again" : "offline_now"), { urgent: !state.online });
  });
  window.setInterval(draw, 30_000);
  button.addEventListener("click", () => isOpen() && onStage().name !== "attention" && go("attention"));
}

function draw() {
  const { online, waiting, oldestAt, attention, skewSeconds } = till.queue;
  button.dataset.state = attention ? "attention" : online ? "online" : "offline";
  button.querySelector("use").setAttribute("href", attention ? "#icon-warn" : online ? "#icon-online" : "#icon-offline");
  const said = [say(online ? "online" : "offline")];
  if (waiting) said.push(say("waiting_age", { waiting: counted("waiting_short", waiting), age: age(serverTime() - Date.parse(oldestAt)) }));
  if (attention) said.push(counted("attention_short", attention));
  words.textContent = said.join(" · ");
  banner("clock", Math.abs(skewSeconds) > SKEW_SECONDS ? counted("clock_wrong", Math.round(Math.abs(skewSeconds) / 60)) : "");
  banner("revoked", till.queue.revoked ? say("till_revoked") : "");
  banner("practice", till.practice ? say("practice_banner") : "");
}

/** Show or, without words, take away a line above the screen. `action` is {label, act}. */
export function banner(name, said, action = null) {
  shown.get(name)?.remove();
  shown.delete(name);
  if (!said) return;
  const node = clone("part-banner");
  const parts = slots(node);
  node.dataset.kind = name;
  parts.words.textContent = said;
  if (action) {
    parts.action.hidden = false;
    parts.action.textContent = action.label;
    parts.action.addEventListener("click", action.act);
  }
  shown.set(name, node);
  banners.append(node);
}

/** Draw again what depends on more than the queue. */
export const redraw = draw;
