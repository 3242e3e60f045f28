// The card beside the form is drawn anew with every change, by the server, from the very file that the
// form would make. Without this, a button of the form does it.

const WAIT_MS = 120;

const form = document.querySelector("form[data-preview]");
const seen = document.querySelector("#preview");
if (form && seen) {
  form.querySelector(".no-script")?.setAttribute("hidden", "");
  let timer = 0;
  let asked = 0;
  let shown = 0;
  let sendsLogo = false;

  const look = async () => {
    const number = ++asked;
    const fields = new FormData(form);
    // The picture goes up once; what the server made of it comes back and is sent from then on.
    if (!sendsLogo) fields.delete("logo");
    sendsLogo = false;
    seen.classList.add("waits");
    try {
      const answer = await fetch(form.dataset.preview, { method: "POST", body: fields });
      // A later answer may have overtaken this one; a session that ended is said when the form is sent.
      if (answer.ok && !answer.redirected && number > shown) {
        shown = number;
        seen.innerHTML = await answer.text();
      }
    } catch {
      // The network is away: the next change asks again.
    }
    if (number === asked) seen.classList.remove("waits");
  };

  form.addEventListener("input", (event) => {
    if (event.target.type === "file") sendsLogo = true;
    window.clearTimeout(timer);
    timer = window.setTimeout(look, WAIT_MS);
  });

  const currency = form.querySelector("#currency");
  currency.addEventListener("change", () => {
    form.querySelector("[data-currency]").textContent = currency.value;
  });
}
