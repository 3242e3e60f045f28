// A sale without a card: counted like any other, with a code on the receipt to collect its points later.

import { fail } from "./feedback.js";
import { amountForm } from "./view-amount.js";
import { mayDrop } from "./view-arrive.js";
import { book, why } from "./view-book.js";
import { clone, once, slots, tell } from "./view-parts.js";
import { booked } from "./view-receipt.js";
import { go, screen } from "./view-stage.js";
import { money, say } from "./view-words.js";

screen("sale", () => {
  const node = clone("screen-sale");
  const parts = slots(node);

  const confirm = ({ amount_minor: minor, lines }, _, button) => once(button, async () => {
    tell(parts.alert, "");
    const about = { code: null, name: say("without_card"), words: money(minor) };
    const result = await book({
      operation: "bookSale",
      body: { amount_minor: minor, lines },
      about,
      expected: { amount_minor: minor, claim_url: null },
    });
    if (result.state === "given-up") return;
    if (result.state === "refused") {
      fail();
      tell(parts.alert, why(result.problem));
      amount.field.focus();
      return;
    }
    await booked({ kind: "sale", result, about });
  });

  const quote = async ({ amount_minor: minor }) => ({ words: say("quote_sale", { amount: money(minor) }), reasons: [] });
  const amount = amountForm({ quote, confirm, offerCodes: false });
  amount.placeIn(parts);
  parts.next.addEventListener("click", () => go("scan"));
  return {
    node,
    focus: amount.field,
    isEmpty: amount.isEmpty,
    mayLeave: () => amount.isEmpty() || mayDrop(amount.field.value || money(amount.basket().amount_minor)),
    keys: (event) => {
      if (event.key !== "Escape") return amount.takes(event);
      if (amount.isEmpty()) go("scan");
      else amount.clear();
      return true;
    },
  };
});
