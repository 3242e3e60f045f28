// Goods come back: which receipt, which pieces or how much, what it does to the points, and only then yes.

import { fail } from "./feedback.js";
import { ask as request, Offline, Problem } from "./net.js";
import { book, why } from "./view-book.js";
import { clone, once, slots, tell } from "./view-parts.js";
import { receiptWords } from "./view-member.js";
import { leavesByEscape } from "./view-mine.js";
import { booked } from "./view-receipt.js";
import { go, screen } from "./view-stage.js";
import { till } from "./view-state.js";
import { asTyped, moment, money, number, points, readAmount, say, signed, unit } from "./view-words.js";

const PREVIEW_AFTER_MS = 200;

screen("return", ({ receipt: known }) => {
  const node = clone("screen-return");
  const parts = slots(node);
  let receipt = null;
  let pieces = new Map();
  let byAmount = false;
  let asked = 0;
  let timer = 0;

  const refuse = (problem, focus) => {
    if (!(problem instanceof Offline || problem instanceof Problem)) throw problem;
    fail();
    tell(parts.alert, problem instanceof Offline ? say("refused_needs_network") : why(problem));
    focus?.focus();
  };

  const choose = async (id) => {
    tell(parts.alert, "");
    try {
      const [about, left] = await Promise.all([
        request(`/till/api/receipts/${encodeURIComponent(id)}`),
        request(`/till/api/receipts/${encodeURIComponent(id)}/returnable`),
      ]);
      show(about, left);
    } catch (problem) {
      refuse(problem, parts.number);
    }
  };

  const show = (about, left) => {
    receipt = { ...about, left };
    pieces = new Map(left.lines.map((line) => [line.number, line.quantity]));
    parts.find.hidden = true;
    parts.what.hidden = false;
    parts.of.textContent = say("return_of", { what: receiptWords(about), time: moment(about.occurred_at), left: money(left.paid_minor) });
    // A purchase that was booked as one amount comes back as an amount, too.
    const [only] = left.lines;
    byAmount = left.lines.length === 1 && only.sold === 1 && !only.name && !only.category;
    parts.lines.hidden = byAmount;
    parts.byAmount.hidden = !byAmount;
    parts.amount.value = asTyped(left.paid_minor);
    if (!byAmount) parts.lines.append(...left.lines.map(lineOf));
    (parts.lines.querySelector("button") ?? parts.amount).focus();
    if (byAmount) parts.amount.select();
    preview();
  };

  const lineOf = (line) => {
    const row = clone("part-return-line");
    const own = slots(row);
    const category = till.now.programme.categories.find((one) => one.key === line.category);
    const name = line.name || category?.name || say("item");
    own.name.textContent = name;
    own.words.textContent = say("can_come_back", { count: number(line.quantity), amount: money(line.paid_minor) });
    own.fewer.setAttribute("aria-label", say("fewer_of", { name }));
    own.more.setAttribute("aria-label", say("more_of", { name }));
    const draw = () => {
      const count = pieces.get(line.number);
      own.pieces.textContent = number(count);
      own.fewer.disabled = count === 0;
      own.more.disabled = count === line.quantity;
    };
    const step = (by) => () => {
      pieces.set(line.number, pieces.get(line.number) + by);
      draw();
      later();
    };
    own.fewer.addEventListener("click", step(-1));
    own.more.addEventListener("click", step(1));
    draw();
    return row;
  };

  const wanted = () => {
    if (!byAmount) {
      const lines = [...pieces].filter(([, count]) => count > 0).map(([line, quantity]) => ({ number: line, quantity }));
      return lines.length ? { lines } : null;
    }
    const { minor } = readAmount(parts.amount.value);
    return minor === null ? null : { amount_minor: minor };
  };

  const preview = async () => {
    const mine = ++asked;
    const body = wanted();
    parts.confirm.disabled = true;
    if (body === null) {
      parts.words.textContent = say("return_nothing");
      return;
    }
    try {
      const answer = await request("/till/api/returns/preview", { method: "POST", body: { receipt_id: receipt.id, ...body } });
      if (mine !== asked) return;
      parts.words.textContent = say("return_preview", {
        amount: money(answer.refund_minor),
        points: `${signed(answer.points)} ${unit(answer.points)}`,
        balance: points(answer.balance),
      });
      parts.preview.dataset.state = "";
      parts.confirm.disabled = false;
      parts.confirm.textContent = say("return_confirm", { amount: money(answer.refund_minor) });
    } catch (problem) {
      if (mine !== asked) return;
      if (!(problem instanceof Offline || problem instanceof Problem)) throw problem;
      parts.preview.dataset.state = "wrong";
      parts.words.textContent = problem instanceof Offline ? say("return_later") : why(problem);
      // Without network it can still be taken back; what it does to the points is seen later.
      parts.confirm.disabled = problem instanceof Problem;
    }
  };
  const later = () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(preview, PREVIEW_AFTER_MS);
  };

  parts.find.addEventListener("submit", (event) => {
    event.preventDefault();
    const id = parts.number.value.replace(/\D/g, "");
    if (id) once(event.submitter ?? parts.number, () => choose(id));
    else parts.number.focus();
  });
  parts.amount.addEventListener("input", later);
  parts.cancel.addEventListener("click", () => go("return"));
  parts.what.addEventListener("submit", (event) => {
    event.preventDefault();
    if (parts.confirm.disabled) return;
    once(parts.confirm, async () => {
      const about = { code: receipt.code ?? null, name: receipt.name ?? "", words: say("return_words", { what: receiptWords(receipt) }) };
      const reason = parts.reason.value.trim();
      const result = await book({
        operation: "takeBackGoods",
        body: { receipt_id: receipt.id, ...wanted(), ...(reason ? { reason } : {}) },
        about,
      });
      if (result.state === "given-up") return;
      if (result.state === "refused") refuse(new Problem(result.problem), parts.confirm);
      else await booked({ kind: "return", result, about });
    });
  });

  const loadRecent = async () => {
    try {
      const { receipts } = await request("/till/api/mine");
      const candidates = receipts.filter((one) => one.kind === "accrue" && !one.undone_by && one.amount_minor);
      parts.recent.replaceChildren(...candidates.slice(0, 5).map((one) => {
        const row = clone("part-found");
        const own = slots(row);
        own.name.textContent = one.name || one.code || say("without_card");
        own.hint.textContent = `${receiptWords(one)} · ${moment(one.recorded_at)}`;
        row.firstElementChild.addEventListener("click", () => choose(one.id));
        return row;
      }));
    } catch (problem) {
      if (!(problem instanceof Offline || problem instanceof Problem)) throw problem;
    }
  };
  if (known) choose(known);
  else loadRecent();
  return { node, focus: known ? undefined : parts.number, keys: leavesByEscape };
});
