// Keep the phone on the page up to date: ask for its version, and when that
// changed fetch the page again and mend what differs. Only what is new moves,
// so nothing flickers. Without script a Refresh link does the same.

const body = document.body;
const every = 100;
let isLeaving = false;
let said = document.querySelector("[data-notice]")?.dataset.notice ?? "";

// Turn `now` into `next`, keeping every node that both have.
function mend(now, next) {
  if (now.nodeType !== next.nodeType || now.nodeName !== next.nodeName || now.id !== next.id) {
    const fresh = document.importNode(next, true);
    now.replaceWith(fresh);
    return fresh;
  }
  if (now.nodeType !== Node.ELEMENT_NODE) {
    if (now.data !== next.data) {
      now.data = next.data;
      if (now.parentNode.nodeName === "text") now.parentNode.classList.add("fresh");
    }
    return now;
  }
  for (const { name } of [...now.attributes]) {
    if (!next.hasAttribute(name) && name !== "open") now.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  mendChildren(now, next);
  return now;
}

function mendChildren(now, next) {
  const known = new Map();
  for (const child of now.children) if (child.dataset.key) known.set(child.dataset.key, child);
  let place = now.firstChild;
  for (const child of [...next.childNodes]) {
    const key = child.dataset?.key;
    const match = key ? known.get(key) : place?.dataset?.key ? null : place;
    if (!match) {
      now.insertBefore(document.importNode(child, true), place);
      continue;
    }
    if (match === place) place = place.nextSibling;
    else now.insertBefore(match, place);
    mend(match, child);
  }
  while (place) {
    const rest = place.nextSibling;
    place.remove();
    place = rest;
  }
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (isLeaving) return;
  if (answer.redirected || !answer.ok || !fresh.body.dataset.version) {
    location.assign(answer.url);
    return;
  }
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
    if (next) mendChildren(part, next);
  }
  const notice = document.querySelector("[data-notice]")?.dataset.notice;
  if (notice && notice !== said) document.getElementById("spoken").textContent = said = notice;
  body.dataset.version = fresh.body.dataset.version;
}

async function look() {
  try {
    if (!document.hidden) {
      const answer = await fetch(body.dataset.poll);
      const isNew = answer.ok && (await answer.json()).version !== body.dataset.version;
      if (isNew && !isLeaving) await refresh();
    }
  } catch {
    // The emulators are restarting; the next look finds them.
  }
  setTimeout(look, every);
}

// A form that removes this card leads elsewhere by itself: finding the card gone must not overtake it.
addEventListener("submit", (event) => {
  isLeaving = !event.defaultPrevented;
});
addEventListener("pageshow", () => {
  isLeaving = false;
});

if (body.dataset.poll) setTimeout(look, every);
