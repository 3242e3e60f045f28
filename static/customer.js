// Phone and page side by side: a button that adds the card adds it to the phone beside it.

const page = document.querySelector("iframe[name=page]");
const phone = document.querySelector("iframe[name=phone]");

const turnToPhone = (link) => {
  const desk = new URL(phone.src).origin;
  if (/^\/card\/[^/]+\/(apple|google)$/.test(link.pathname)) {
    link.href = `${desk}/add?url=${encodeURIComponent(link.href)}`;
  }
  if (link.origin === desk) link.target = "phone";
};

if (page && phone) {
  page.addEventListener("load", () => {
    let inside = null;
    try {
      inside = page.contentDocument;
    } catch {
      return; // Somebody else's page, which is none of our business.
    }
    inside?.addEventListener("click", (event) => {
      const link = event.target.closest?.("a[href]");
      if (link) turnToPhone(link);
    });
  });
}
