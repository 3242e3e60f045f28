// Copies a new key, and counts down how long a revoked one can be put back. Without it the key is
// marked and copied by hand, and the server alone says whether it is too late.

if (navigator.clipboard) {
  for (const button of document.querySelectorAll("[data-copies]")) {
    button.hidden = false;
    const words = button.textContent;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
      button.textContent = button.dataset.copied;
      window.setTimeout(() => { button.textContent = words; }, 2000);
    });
  }
}

for (const notice of document.querySelectorAll("[data-seconds]")) {
  const until = performance.now() + Number(notice.dataset.seconds) * 1000;
  const left = notice.querySelector("[data-left]");
  const count = () => {
    const seconds = Math.ceil((until - performance.now()) / 1000);
    if (seconds <= 0) {
      notice.querySelector("form").remove();
      return;
    }
    left.textContent = seconds;
    window.setTimeout(count, 250);
  };
  count();
}
