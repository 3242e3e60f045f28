// Phone and page side by side: what leads to a wallet opens on the phone, not in the page's place.

const page = document.querySelector("iframe[name=page]");
const phone = document.querySelector("iframe[name=phone]");

const leadsToWallet = (link) =>
  link.origin === new URL(phone.src).origin || /^\/card\/[^/]+\/(apple|google)$/.test(link.pathname);

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
      if (link && leadsToWallet(link)) link.target = "phone";
    });
  });
}
