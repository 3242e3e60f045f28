// Keeps the progress of an offer fresh and counts letters. Without it, a link
// loads the page again and the server counts.

const box = document.querySelector("[data-progress]");
if (box) {
  document.querySelector("[data-refresh]")?.setAttribute("hidden", "");
  const look = async () => {
    const began = performance.now();
    try {
      const answer = await fetch(box.dataset.progress, { headers: { Accept: "text/html" } });
      if (!answer.ok || answer.redirected) return;
      box.innerHTML = await answer.text();
      if (box.querySelector("[data-finished]") && ++quiet > 3) return;
      if (!box.querySelector("[data-finished]")) quiet = 0;
    } catch {
      // The network is away: it is tried again.
    }
    // A server that needs long to count is asked more rarely.
    window.setTimeout(look, Math.max(700, (performance.now() - began) * 10));
  };
  let quiet = 0;
  look();
}

for (const counter of document.querySelectorAll("[data-counts]")) {
  const typed = document.getElementById(counter.dataset.counts);
  const limit = Number(counter.dataset.limit);
  const count = () => {
    const length = [...typed.value.trim()].length;
    counter.textContent = `${length} / ${limit}`;
    counter.classList.toggle("over", length > limit);
  };
  typed.addEventListener("input", count);
  count();
}
