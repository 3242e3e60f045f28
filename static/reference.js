// Narrows the list of operations while somebody types, and copies commands. Without it the list is
// whole, and the browser's own search finds everything.

const filter = document.querySelector("[data-filter]");
const found = filter?.querySelector("[data-found]");
if (filter) {
  filter.hidden = false;
  const input = filter.querySelector("input");
  const narrow = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const group of document.querySelectorAll("[data-group]")) {
      let here = 0;
      for (const entry of group.querySelectorAll("[data-find]")) {
        const text = entry.dataset.find.toLowerCase();
        entry.hidden = !words.every((word) => text.includes(word));
        here += entry.hidden ? 0 : 1;
      }
      group.hidden = here === 0;
      left += here;
    }
    found.textContent = left === 0 ? found.dataset.none : "";
  };
  input.addEventListener("input", narrow);
  filter.addEventListener("submit", (event) => {
    event.preventDefault();
    document.querySelector("[data-find]:not([hidden]) a")?.click();
  });
}

if (navigator.clipboard) {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    const words = button.textContent;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
      button.textContent = button.dataset.copied;
      window.setTimeout(() => { button.textContent = words; }, 2000);
    });
  }
}
