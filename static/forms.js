// Every form: a second tap on the same button does nothing, a slow answer shows
// on the button, and after a refusal the focus is on what to correct.

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "1";
    const button = event.submitter ?? form.querySelector("button");
    window.setTimeout(() => button?.setAttribute("aria-busy", "true"), 400);
  });
}

// A page taken back out of the browser's memory must be usable again.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("form[data-once]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  }
});

document.querySelector("[data-first-error]")?.focus();
