// Keep the phone on the page up to date: ask for its version, and when that
// changed fetch the page again and swap the living parts. Without script the
// Refresh link does the same.

const body = document.body;
const every = 500;

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (answer.redirected || !answer.ok || !fresh.body.dataset.version) {
    location.assign(answer.url);
    return;
  }
  const focused = document.activeElement?.id;
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
    if (next && next.innerHTML !== part.innerHTML) {
      const scrolled = part.querySelector(".screen")?.scrollTop;
      part.innerHTML = next.innerHTML;
      const screen = part.querySelector(".screen");
      if (screen && scrolled) screen.scrollTop = scrolled;
    }
  }
  const notice = document.querySelector("[data-notice]")?.dataset.notice;
  const spoken = document.getElementById("spoken");
  if (notice && spoken.textContent !== notice) spoken.textContent = notice;
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
  body.dataset.version = fresh.body.dataset.version;
}

async function look() {
  try {
    if (!document.hidden) {
      const answer = await fetch(body.dataset.poll);
      if (answer.ok && (await answer.json()).version !== body.dataset.version) await refresh();
    }
  } catch {
    // The emulators are restarting; the next look finds them.
  }
  setTimeout(look, every);
}

if (body.dataset.poll) setTimeout(look, every);
