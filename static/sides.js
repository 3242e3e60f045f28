// Phone and shop side by side. What adds a card adds it to the phone beside the page, and a card that
// is held to the till on the phone is seen by the till: its pixels go where a camera's would.

import { held, letGo } from "./till/hold.js";

const LOOK_EVERY_MS = 600;

const page = document.querySelector("iframe[name=page]");
const phone = document.querySelector("iframe[name=phone]");
const toTheTill = document.querySelector("#to-the-till");

const inside = () => {
  try {
    return page.contentDocument;
  } catch {
    return null; // Somebody else's page, which is none of our business.
  }
};
const isTill = () => Boolean(inside()?.location.pathname.startsWith("/till/"));

const turnToPhone = (link) => {
  const desk = new URL(phone.src).origin;
  if (/^\/card\/[^/]+\/(apple|google)$/.test(link.pathname)) {
    link.href = `${desk}/add?url=${encodeURIComponent(link.href)}`;
  }
  if (link.origin === desk) link.target = "phone";
};

const arrived = () => {
  for (const side of document.querySelectorAll("[data-side]")) {
    const here = (side.dataset.side === "till") === isTill();
    if (here) side.setAttribute("aria-current", "true");
    else side.removeAttribute("aria-current");
  }
  if (phone) inside()?.documentElement.classList.add("beside-phone");
  inside()?.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (link && phone) turnToPhone(link);
  });
};
page.addEventListener("load", arrived);
if (inside()?.readyState === "complete") arrived();

// A card that is held still is read again only after the phone let go of it.
let isFirstLook = true;
let isOpening = false;
page.addEventListener("load", () => {
  isOpening = false;
});

const look = async (desk) => {
  const wasFirst = isFirstLook;
  isFirstLook = false;
  if (isOpening) return;
  // The app sees a card whatever it shows just now, and says what it does with it.
  const app = isTill() ? inside().querySelector("#screen[data-screen]") : null;
  const field = isTill() ? inside().querySelector("form[data-scan] input[type=file]") : null;
  if (isTill() && !app && !field) return; // A page without script is busy with somebody: the next one will see it.
  const pixels = await held(desk);
  if (!pixels) return;
  if (app) {
    inside().dispatchEvent(new CustomEvent("till:held", { detail: pixels }));
    return;
  }
  if (!field) {
    // Held just now it was meant for a till; a phone that still lies there from before was not.
    if (wasFirst) return;
    letGo();
    isOpening = true;
    toTheTill.requestSubmit();
    return;
  }
  const given = new DataTransfer();
  given.items.add(new File([pixels], "camera.png", { type: "image/png" }));
  field.files = given.files;
  field.dispatchEvent(new Event("change", { bubbles: true }));
};

if (phone) {
  const desk = new URL(phone.src).origin;
  const lookAgain = async () => {
    try {
      if (document.visibilityState === "visible") await look(desk);
    } catch {
      // The phone is just starting again.
    }
    window.setTimeout(lookAgain, LOOK_EVERY_MS);
  };
  lookAgain();
}
