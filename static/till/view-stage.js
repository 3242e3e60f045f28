// One screen at a time: who is on stage, who may leave, where the focus goes.

const screens = new Map();
let current = null;
let home = () => "scan";

/** Say where "the next customer" is: nobody scans cards at a till that is locked. */
export function homeIs(found) {
  home = found;
}

/**
 * Name a screen. `make(detail)` gives {node, focus?, keys?(event), mayLeave?(), leave?(), code?(text)}:
 * the element, what to focus first, its own keys, whether it may be left now, its clearing up,
 * and, where a customer is shown, their card's code and what they are called.
 */
export function screen(name, make) {
  screens.set(name, make);
}

/** The screen that is shown. */
export function onStage() {
  return current;
}

/** Show a screen. False when the present one was not to be left. */
export async function go(name, detail = {}, { asked = true, remember = true } = {}) {
  if (asked && current?.mayLeave && !(await current.mayLeave())) return false;
  current?.leave?.();
  const shown = name === "scan" ? home() : name;
  show({ name: shown, ...screens.get(shown)(detail) });
  // One step back always leads to where cards are scanned; never out of the app in the middle of a sale.
  if (remember && shown !== home() && history.state?.screen === undefined) history.pushState({ screen: name }, "");
  return true;
}

/** Take the screen off the stage as it is, to be brought back later. */
export function setAside() {
  const left = current;
  current = null;
  return left;
}

/** Show a screen that was set aside, as it was left. */
export async function bringBack(left) {
  current?.leave?.();
  show(left);
  return true;
}

function show(next) {
  current = next;
  const { name, node, focus } = next;
  const root = document.querySelector("#screen");
  root.dataset.screen = name;
  root.replaceChildren(node);
  window.scrollTo(0, 0);
  const heading = node.querySelector("h1");
  heading?.setAttribute("tabindex", "-1");
  (focus ?? heading)?.focus();
  document.dispatchEvent(new CustomEvent("till:screen", { detail: name }));
}

window.addEventListener("popstate", async () => {
  if (!current || current.name === home()) return;
  const left = await go("scan", {}, { remember: false });
  if (!left) history.pushState({ screen: current.name }, "");
});
