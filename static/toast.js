// Messages that come and go: said by a live region, there for eight seconds, and for as long as somebody
// points at them or has the focus in them. Without script they stay until somebody closes them.

const STAYS_MS = 8000;

for (const toast of document.querySelectorAll(".toasts [data-toast]")) {
  const region = toast.parentElement;
  // A live region says what is put into it, not what it began with.
  toast.remove();
  window.setTimeout(() => region.append(toast), 50);

  let timer = 0;
  const wait = () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(() => toast.remove(), STAYS_MS);
  };
  const hold = () => window.clearTimeout(timer);
  for (const event of ["pointerenter", "focusin"]) toast.addEventListener(event, hold);
  for (const event of ["pointerleave", "focusout"]) toast.addEventListener(event, wait);
  toast.querySelector("[data-close]")?.addEventListener("click", (event) => {
    event.preventDefault();
    toast.remove();
  });
  wait();
}
