// The page keeps itself as fresh as the card: it asks often while somebody
// looks at it, seldom while nobody touches it, and never while it is hidden.

const QUICK_MS = 700;
const SLOW_MS = 5000;
const LATE_MS = 15000;
const IDLE_AFTER_MS = 180000;
const PATIENCE_MS = 8000;

const live = document.querySelector("[data-live]");
const says = document.querySelector("[data-says][role=status]");
const noNetwork = document.querySelector("[data-no-network]");
const counter = document.querySelector("#till");

let tag = live.dataset.tag;
let timer = 0;
let asking = false;
let failures = 0;
let touchedAt = Date.now();
let seenAt = new Date(live.dataset.at);

// Asking --------------------------------------------------------------------------

function pause() {
  if (failures) return Math.min(LATE_MS, QUICK_MS * 2 ** failures);
  const idle = Date.now() - touchedAt > IDLE_AFTER_MS && location.hash !== "#till";
  return idle ? SLOW_MS : QUICK_MS;
}

function later() {
  window.clearTimeout(timer);
  if (!document.hidden) timer = window.setTimeout(ask, pause());
}

async function ask() {
  if (asking || document.hidden) return;
  asking = true;
  window.clearTimeout(timer);
  try {
    const answer = await fetch(live.dataset.live, {
      headers: tag ? { "If-None-Match": tag } : {},
      cache: "no-store",
      credentials: "same-origin",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (answer.status === 404 || answer.status === 410) {
      // The link was withdrawn or the card is over: the page itself says which.
      location.reload();
      return;
    }
    if (answer.status !== 304 && !answer.ok) throw new Error(String(answer.status));
    tag = answer.headers.get("ETag") ?? tag;
    if (answer.status === 200) swap(await answer.text());
    failures = 0;
    seenAt = new Date();
    noNetwork.hidden = true;
  } catch {
    failures += 1;
    if (failures > 1) sayNoNetwork();
  } finally {
    asking = false;
    later();
  }
}

function sayNoNetwork() {
  const language = document.documentElement.lang;
  const today = seenAt.toDateString() === new Date().toDateString();
  const style = today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  let time;
  try {
    time = new Intl.DateTimeFormat(language, style).format(seenAt);
  } catch {
    time = seenAt.toLocaleString();
  }
  const words = noNetwork.dataset.words.replace("{time}", time);
  if (noNetwork.textContent !== words) noNetwork.textContent = words;
  noNetwork.hidden = false;
}

// Showing what is new ---------------------------------------------------------------

function swap(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const old = document.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!old || same(old, part)) continue;
    const open = new Set([...old.querySelectorAll("details")].map((one, at) => one.open && keyOf(one, at)));
    part.querySelectorAll("details").forEach((one, at) => (one.open = open.has(keyOf(one, at))));
    const focus = old.contains(document.activeElement) ? pathTo(old, document.activeElement) : null;
    if (part.dataset.says && part.dataset.says !== old.dataset.says) {
      says.textContent = part.dataset.says;
      part.classList.add("new");
    }
    old.replaceWith(document.adoptNode(part));
    if (focus) part.querySelector(focus)?.focus();
  }
}

function same(old, part) {
  const plain = old.cloneNode(true);
  for (const one of plain.querySelectorAll("details")) one.open = false;
  return plain.innerHTML === part.innerHTML;
}

// What somebody has opened to read: by its own name, or by its place.
function keyOf(details, at) {
  return details.dataset.keep ?? String(at);
}

function pathTo(root, element) {
  const steps = [];
  for (let one = element; one !== root; one = one.parentElement) {
    steps.unshift(`:nth-child(${[...one.parentElement.children].indexOf(one) + 1})`);
  }
  return `:scope > ${steps.join(" > ")}`;
}

// The card for the till ---------------------------------------------------------------

let lock = null;
let openedHere = false;

async function counterOpens() {
  const open = location.hash === "#till";
  for (const one of document.querySelectorAll("body > :not(main), main > :not(#till)")) one.inert = open;
  if (open) {
    counter.focus();
    // The screen stays on while somebody waits for the scanner.
    lock = await navigator.wakeLock?.request("screen").catch(() => null);
  } else {
    lock?.release();
    lock = null;
    if (openedHere) document.querySelector("#show").focus();
    openedHere = false;
  }
}

function close(event) {
  event.preventDefault();
  if (openedHere) history.back();
  else location.hash = "main";
}

document.querySelector("#show").addEventListener("click", () => (openedHere = true));
counter.querySelector("[data-close]").addEventListener("click", close);
window.addEventListener("hashchange", counterOpens);
window.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && location.hash === "#till") close(event);
});
if (location.hash === "#till") counterOpens();

// Without network -----------------------------------------------------------------------

async function keep() {
  if (!("serviceWorker" in navigator)) return;
  try {
    await navigator.serviceWorker.register(live.dataset.worker, { scope: "/card/", updateViaCache: "none" });
    const ready = await navigator.serviceWorker.ready;
    const files = performance.getEntriesByType("resource").map((one) => one.name);
    ready.active.postMessage({ page: location.pathname, files });
  } catch {
    // A browser that keeps nothing still shows the card while there is a network.
  }
}

window.addEventListener("load", keep);
if (document.readyState === "complete") keep();

// ---------------------------------------------------------------------------------------

for (const kind of ["pointerdown", "keydown", "scroll"]) {
  window.addEventListener(kind, () => (touchedAt = Date.now()), { passive: true });
}
document.addEventListener("visibilitychange", () => {
  touchedAt = Date.now();
  if (!document.hidden) ask();
});
window.addEventListener("online", ask);
window.addEventListener("offline", sayNoNetwork);
window.addEventListener("pageshow", (event) => event.persisted && ask());
if (!navigator.onLine) sayNoNetwork();
ask();
