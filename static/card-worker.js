// Keeps the card that was shown last for a moment without network. A card is kept
// under its own address and answered for no other; what was withdrawn is let go.

const CARDS = "card-pages-1";
const FILES = "card-files-1";
const CARDS_MAX = 5;
const FILES_MAX = 60;
const PATIENCE_MS = 6000;

const CARD = /^\/card\/[^/]+$/;
const OF_CARD = /^(\/card\/[^/]+)\/[^/]+$/;
const FILE = /^\/static(-theme)?\//;
const OVER = [404, 410];

self.addEventListener("install", () => self.skipWaiting());

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name.startsWith("card-") && ![CARDS, FILES].includes(name)) await caches.delete(name);
      }
      await self.clients.claim();
    })(),
  );
});

// The first page was there before this worker: it says what it was made of.
self.addEventListener("message", (event) => {
  const { page, files } = event.data;
  if (CARD.test(page)) event.waitUntil(Promise.all([refresh(page), ...files.map(fileOf)]));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== location.origin) return;
  const part = OF_CARD.exec(url.pathname);
  if (request.method !== "GET") {
    // Something is being changed: what is kept would be out of date.
    if (part) event.waitUntil(forget(part[1]));
  } else if (request.mode === "navigate" && CARD.test(url.pathname)) {
    event.respondWith(pageOf(event, url.pathname));
  } else if (part && url.pathname.endsWith("/now")) {
    event.respondWith(freshOf(event, part[1]));
  } else if (isLasting(url)) {
    event.respondWith(fileOf(request.url));
  }
});

async function pageOf(event, path) {
  try {
    const answer = await fetch(event.request, { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.status < 500) {
      event.waitUntil(keep(path, answer.clone()));
      return answer;
    }
    return (await kept(path)) ?? answer;
  } catch {
    return (await kept(path)) ?? Response.error();
  }
}

async function freshOf(event, path) {
  const answer = await fetch(event.request);
  if (answer.status === 200) event.waitUntil(refresh(path));
  else if (OVER.includes(answer.status)) event.waitUntil(forget(path));
  return answer;
}

async function refresh(path) {
  try {
    await keep(path, await fetch(path, { cache: "no-store", credentials: "same-origin" }));
  } catch {
    // There will be another time.
  }
}

async function keep(path, answer) {
  if (answer.ok && !answer.redirected) {
    const cache = await caches.open(CARDS);
    await cache.delete(path);
    await cache.put(path, answer);
    await bound(cache, CARDS_MAX);
  } else if (OVER.includes(answer.status)) await forget(path);
}

async function kept(path) {
  return (await caches.open(CARDS)).match(path);
}

async function forget(path) {
  await (await caches.open(CARDS)).delete(path);
}

// Only files whose address changes with what they hold.
function isLasting(url) {
  const named = url.searchParams.has("v") || url.pathname.includes("/vendor/");
  return url.origin === location.origin && FILE.test(url.pathname) && named;
}

async function fileOf(address) {
  const url = new URL(address, location.href);
  if (!isLasting(url)) return undefined;
  const cache = await caches.open(FILES);
  const found = await cache.match(url.href);
  if (found) return found;
  const answer = await fetch(url.href);
  if (answer.ok) {
    await cache.put(url.href, answer.clone());
    await bound(cache, FILES_MAX);
  }
  return answer;
}

async function bound(cache, most) {
  const all = await cache.keys();
  for (const one of all.slice(0, Math.max(0, all.length - most))) await cache.delete(one);
}
