// Printing and copying: buttons that only do something where there is script, so they show themselves here.

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

const says = document.querySelector("[data-copied]");
for (const button of document.querySelectorAll("[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  button.hidden = false;
  button.addEventListener("click", async () => {
    source.select();
    try {
      await navigator.clipboard.writeText(source.value);
    } catch {
      // Without https there is no clipboard; the text is selected, which is half the way.
      return;
    }
    const before = button.textContent;
    button.textContent = says.dataset.words;
    says.textContent = says.dataset.words;
    window.setTimeout(() => {
      button.textContent = before;
      says.textContent = "";
    }, 2_000);
  });
}
