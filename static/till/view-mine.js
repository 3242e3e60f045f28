// The last bookings of whoever works here, with what they come to and a way back.

import { fail } from "./feedback.js";
import { ask as request, Offline, Problem } from "./net.js";
import { arrive } from "./view-arrive.js";
import { why } from "./view-book.js";
import { ask, clone, once, slots, tell, toast } from "./view-parts.js";
import { receiptWords } from "./view-member.js";
import { go, screen } from "./view-stage.js";
import { reverse } from "./view-undo.js";
import { counted, exact, moment, money, points, say, signed } from "./view-words.js";

screen("mine", () => {
  const node = clone("screen-mine");
  const parts = slots(node);

  const load = async () => {
    try {
      const { receipts } = await request("/till/api/mine");
      draw(receipts);
    } catch (problem) {
      if (!(problem instanceof Offline || problem instanceof Problem)) throw problem;
      tell(parts.alert, problem instanceof Offline ? say("mine_offline") : why(problem));
    }
  };

  const draw = (receipts) => {
    parts.empty.hidden = receipts.length > 0;
    parts.rows.hidden = receipts.length === 0;
    const counting = receipts.filter((one) => ["accrue", "sale"].includes(one.kind) && !one.undone_by);
    const sum = counting.reduce((total, one) => total + (one.amount_minor ?? 0), 0);
    const given = receipts.filter((one) => one.points > 0 && !one.undone_by && one.kind !== "undo").reduce((total, one) => total + one.points, 0);
    tell(parts.totals, receipts.length ? counted("mine_totals", counting.length, { amount: money(sum), points: points(given) }) : "");
    parts.rows.replaceChildren(...receipts.map(rowOf));
  };

  const rowOf = (receipt) => {
    const row = clone("part-mine");
    const own = slots(row);
    const who = receipt.name || receipt.code || say("without_card");
    own.who.textContent = who;
    own.words.textContent = `${receiptWords(receipt)} · ${moment(receipt.recorded_at)}${receipt.undone_by ? ` · ${say("undone")}` : ""}`;
    own.words.title = exact(receipt.recorded_at);
    own.points.textContent = receipt.points ? signed(receipt.points) : "";
    row.classList.toggle("undone", Boolean(receipt.undone_by));
    if (receipt.code) own.open.addEventListener("click", () => arrive(receipt.code, { quiet: true }));
    else own.open.disabled = true;
    own.undo.hidden = !receipt.may_undo;
    own.undo.setAttribute("aria-label", `${say("undo")}: ${who}, ${receiptWords(receipt)}`);
    own.undo.addEventListener("click", () => undo(own.undo, receipt, who));
    return row;
  };

  const undo = async (button, receipt, who) => {
    const words = receiptWords(receipt);
    if (!(await ask({ title: say("undo_title", { what: words }), text: say("undo_text", { name: who }), yes: say("undo"), no: say("cancel") }))) return;
    await once(button, async () => {
      const result = await reverse({
        kind: receipt.kind,
        path: { receipt_id: receipt.id },
        about: { code: receipt.code, name: who, words },
      });
      if (result.state === "given-up") return;
      if (result.state === "refused") {
        fail();
        tell(parts.alert, why(result.problem));
        return;
      }
      toast(say({ waiting: "kept_short", practised: "practised_text" }[result.state] ?? "undone"));
      await load();
    });
  };

  parts.next.addEventListener("click", () => go("scan"));
  parts.return.addEventListener("click", () => go("return"));
  load();
  return { node, keys: leavesByEscape };
});

/** Esc leads back to scanning. */
export function leavesByEscape(event) {
  if (event.key !== "Escape") return false;
  go("scan");
  return true;
}
