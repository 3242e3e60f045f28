// The few tools that every screen uses: templates of the shell, live regions, dialogs, messages.

import { say } from "./view-words.js";

/** A copy of a template of the shell. */
export function clone(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

/** The parts of a copy by the name in their `data-slot`. */
export function slots(root) {
  const found = {};
  for (const one of root.querySelectorAll("[data-slot]")) found[one.dataset.slot] = one;
  return found;
}

/** Put words where they belong and show them; nothing to say hides the place. */
export function tell(place, words) {
  place.textContent = words ?? "";
  place.hidden = !words;
}

/** Say something to those who cannot see it; `urgent` interrupts. */
export function announce(words, { urgent = false } = {}) {
  const region = document.querySelector(urgent ? "#said-now" : "#said");
  // The same words twice are said twice only if the region was empty in between.
  region.textContent = "";
  window.setTimeout(() => { region.textContent = words; }, 30);
}

/** Keep a control from being pressed twice, and show that it works when it takes long. */
export async function once(button, work) {
  if (button.dataset.busy) return undefined;
  button.dataset.busy = "1";
  const slow = window.setTimeout(() => button.setAttribute("aria-busy", "true"), 400);
  try {
    return await work();
  } finally {
    window.clearTimeout(slow);
    delete button.dataset.busy;
    button.removeAttribute("aria-busy");
  }
}

/**
 * Open a dialog made of a template of the shell. `prepare(node, parts, close)` fills it;
 * the promise gives what `close` was called with, or null when it was left by Esc.
 */
export function dialog(id, prepare) {
  return new Promise((resolve) => {
    const node = clone(id);
    const opener = document.activeElement;
    let answer = null;
    const close = (given) => {
      answer = given;
      node.close();
    };
    node.addEventListener("close", () => {
      node.remove();
      if (opener?.isConnected) opener.focus();
      resolve(answer);
    });
    for (const button of node.querySelectorAll("[data-close]")) button.addEventListener("click", () => close(null));
    // A tap beside the dialog; one on its own margin is none.
    node.addEventListener("click", ({ target, clientX: x, clientY: y }) => {
      const box = node.getBoundingClientRect();
      if (target === node && (x < box.left || x > box.right || y < box.top || y > box.bottom)) close(null);
    });
    prepare(node, slots(node), close);
    document.body.append(node);
    node.showModal();
    node.querySelector("[data-first]:not(:disabled)")?.focus();
  });
}

/** A question with two answers; true for yes. */
export function ask({ title, text = "", yes, no = say("cancel"), danger = false }) {
  return dialog("dialog-ask", (node, parts, close) => {
    parts.title.textContent = title;
    tell(parts.text, text);
    parts.yes.textContent = yes;
    parts.yes.classList.toggle("danger", danger);
    // A hurried Enter must not throw anything away.
    if (danger) {
      parts.yes.removeAttribute("data-first");
      parts.no.dataset.first = "";
    }
    parts.no.textContent = no;
    parts.yes.addEventListener("click", () => close(true));
    parts.no.addEventListener("click", () => close(null));
  }).then(Boolean);
}

/** A message that goes away by itself, but not while somebody points at it. */
export function toast(words, { label, action } = {}) {
  const region = document.querySelector("#toasts");
  const node = clone("part-toast");
  const parts = slots(node);
  parts.words.textContent = words;
  let timer = 0;
  const wait = () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(() => node.remove(), 8000);
  };
  if (action) {
    parts.action.hidden = false;
    parts.action.textContent = label;
    parts.action.addEventListener("click", () => {
      node.remove();
      action();
    });
  }
  for (const event of ["pointerenter", "focusin"]) node.addEventListener(event, () => window.clearTimeout(timer));
  for (const event of ["pointerleave", "focusout"]) node.addEventListener(event, wait);
  region.replaceChildren(node);
  wait();
}

/** Whether this is something that text is typed into. */
export function isTyping(target) {
  return Boolean(target.closest?.("input:not([type=checkbox], [type=radio], [type=range], [type=file]), textarea, select, [contenteditable]"));
}
