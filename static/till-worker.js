// Keeps the till's page, its files and what they need, so that it begins without
// network. Never what it asks or books: that is the app's own business.
// The server writes MADE_OF before this: {version, page, files}.

/* global MADE_OF */

const KEPT = `till-app-${MADE_OF.version}`;
// The colours of a shop, whose address is only known once a till knows its shop.
const LOOKS = "till-looks-1";
const LOOKS_MAX = 20;
const LOOK = /^\/static(-theme)?\//;

self.addEventListener("install", (event) => event.waitUntil(keepAll()));

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name.startsWith("till-") && ![KEPT, LOOKS].includes(name)) await caches.delete(name);
      }
      await self.clients.claim();
    })(),
  );
});

// A new version waits until somebody says so: never in the middle of a sale.
self.addEventListener("message", (event) => {
  if (event.data === "take over") self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (request.mode === "navigate") {
    if (url.pathname === MADE_OF.page) event.respondWith(page(event, url));
    else event.respondWith(fetch(request).catch(() => Response.redirect(MADE_OF.page)));
  } else if (MADE_OF.files.includes(url.pathname) || isLasting(url)) {
    event.respondWith(file(request));
  }
});

// The page --------------------------------------------------------------------

// As kept, at once. Another language or look is asked for by the address, and is then the kept one.
async function page(event, url) {
  const kept = await (await caches.open(KEPT)).match(MADE_OF.page);
  const fresh = freshPage(event, event.request);
  if (!kept || url.search) return fresh.catch(() => kept ?? Response.error());
  event.waitUntil(fresh.catch(() => {}));
  return kept;
}

async function freshPage(event, request) {
  const answer = await fetch(request);
  event.waitUntil(keepPage(await caches.open(KEPT), answer.clone()));
  return answer;
}

// A page that is made of another version's files would be without them once the network is gone.
async function keepPage(cache, answer) {
  const text = await answer.clone().text();
  const fits = answer.ok && !answer.redirected && text.includes(`/${MADE_OF.version}/`);
  if (fits) await cache.put(MADE_OF.page, answer);
  return fits && text;
}

// Its files -------------------------------------------------------------------

async function keepAll() {
  const cache = await caches.open(KEPT);
  const html = await keepPage(cache, await fetch(MADE_OF.page, { cache: "no-store" }));
  if (!html) throw new Error("the page is of another version");
  const named = [...html.matchAll(/(?:href|src)="(\/static\/[^"]+)"/g)].map(([, address]) => address);
  const files = new Set([...MADE_OF.files, ...named]);
  await cache.addAll([...files]);
  for (const sheet of [...files].filter((address) => /\.css(\?|$)/.test(address))) {
    await cache.addAll(await namedIn(sheet, await cache.match(sheet)));
  }
}

async function namedIn(sheet, answer) {
  const base = new URL(sheet, location.href);
  return [...(await answer.text()).matchAll(/url\(["']?([^"')]+)/g)]
    .map(([, address]) => new URL(address, base))
    .filter((url) => url.origin === location.origin)
    .map((url) => url.pathname + url.search);
}

// Only files whose address changes with what they hold.
function isLasting(url) {
  return LOOK.test(url.pathname) && (url.searchParams.has("v") || url.pathname.includes("/vendor/"));
}

async function file(request) {
  const found = await caches.match(request);
  if (found) return found;
  const answer = await fetch(request);
  if (answer.ok && isLasting(new URL(request.url))) {
    const cache = await caches.open(LOOKS);
    await cache.put(request, answer.clone());
    const all = await cache.keys();
    for (const one of all.slice(0, Math.max(0, all.length - LOOKS_MAX))) await cache.delete(one);
  }
  return answer;
}
