// What was bought: an amount, or items line by line; read as the server reads it, with the points it would give.

import { clone, dialog, slots, tell } from "./view-parts.js";
import { keypad } from "./view-pad.js";
import { till } from "./view-state.js";
import { asTyped, counted, currencySign, money, number, readAmount, say } from "./view-words.js";

const QUOTE_AFTER_MS = 160;

/**
 * The amount's form. `quote(basket)` says what it would give, as {words, reasons[], discount_minor, pay_minor,
 * offers[], estimated} or null; `confirm(basket, quote)` books it. Gives {node, field, isEmpty, clear, refuse, offer}.
 */
export function amountForm({ quote, confirm, offerCodes = true }) {
  const node = clone("part-amount");
  const parts = slots(node);
  const { categories, decimal_sign: sign, decimals } = till.now.programme;
  const state = { lines: [], codes: [], byLines: false, pieces: 1, quoted: null, takesDiscounts: true };
  let asked = 0;
  let timer = 0;

  parts.sign.textContent = currencySign();
  parts.text.placeholder = asTyped(0);
  keypad(parts.pad, parts.text, decimals ? sign : "");
  parts.addCode.hidden = !offerCodes;
  // Items cannot be told apart without categories; a plain price list of one is no list.
  parts.byLines.hidden = categories.length === 0;
  for (const category of categories) {
    const choice = clone("part-category");
    const [input] = choice.getElementsByTagName("input");
    input.value = category.key;
    slots(choice).name.textContent = category.name;
    parts.categories.append(choice);
  }
  parts.categories.querySelector("input")?.setAttribute("checked", "");

  const typed = () => (parts.text.value.trim() ? readAmount(parts.text.value) : { minor: null, meant: null, isUnfinished: true });
  const basket = () => {
    const minor = state.byLines
      ? state.lines.reduce((sum, line) => sum + line.quantity * line.unit_minor, 0) || null
      : typed().minor;
    return {
      amount_minor: minor,
      lines: state.byLines ? state.lines.map(({ name: _, ...line }) => line) : [],
      offer_codes: state.codes,
      takes_discounts: state.takesDiscounts,
    };
  };

  const draw = (isFinal = false) => {
    const { minor, meant, isUnfinished } = typed();
    const whole = basket().amount_minor;
    const limit = till.now.rules.amount_limit_minor;
    let wrong = "";
    if (parts.text.value.trim() && minor === null && (isFinal || !isUnfinished)) {
      wrong = meant ? say("amount_meant", { amount: money(meant) }) : say("amount_unclear");
    } else if (limit && whole > limit) {
      wrong = say("amount_above", { limit: money(limit) });
    }
    parts.text.toggleAttribute("aria-invalid", false);
    if (wrong) parts.text.setAttribute("aria-invalid", "true");
    parts.quote.dataset.state = wrong ? "wrong" : state.quoted?.estimated ? "estimate" : "";
    const said = wrong || (whole === null ? "" : state.quoted?.words ?? "");
    parts.words.textContent = said;
    if (wrong && meant) drawMeant(meant);
    else drawDiscount(wrong ? null : state.quoted);
    drawReasons(wrong ? [] : state.quoted?.reasons ?? []);
    const ready = whole !== null && !wrong && !(state.byLines && parts.text.value.trim());
    parts.confirm.disabled = !ready;
    const charged = state.quoted?.discount_minor && state.takesDiscounts ? state.quoted.pay_minor : whole;
    parts.confirm.textContent = ready ? say("confirm_amount", { amount: money(charged) }) : say("confirm");
    parts.add.disabled = minor === null;
  };

  const drawMeant = (meant) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link";
    button.textContent = say("amount_take", { amount: money(meant) });
    button.addEventListener("click", () => fillIn(asTyped(meant)));
    parts.extra.replaceChildren(button);
    parts.extra.hidden = false;
  };
  const fillIn = (text) => {
    parts.text.value = text;
    changed();
    parts.text.focus();
  };

  const drawDiscount = (quoted) => {
    const refused = quoted?.offers?.filter((one) => one.words) ?? [];
    const lines = [...refused, ...approvalFor(quoted)].map((one) => one.words);
    if (quoted?.discount_minor) lines.unshift(say("offer_takes", { amount: money(quoted.discount_minor), pay: money(quoted.pay_minor) }));
    tell(parts.extra, lines.join(" "));
    if (!quoted?.discount_minor && state.takesDiscounts) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link";
    button.textContent = state.takesDiscounts ? say("already_taken_off") : say("take_off");
    button.addEventListener("click", () => {
      state.takesDiscounts = !state.takesDiscounts;
      changed();
    });
    parts.extra.hidden = false;
    parts.extra.append(" ", button);
  };

  // Before anybody confirms: for this a manager has to come. What the server did not say is known from the limit.
  const approvalFor = (quoted) => {
    if (!quoted || quoted.approval) return quoted?.approval ?? [];
    const limit = till.now.rules.approval_minor;
    const isAbove = limit !== null && basket().amount_minor > limit;
    return isAbove ? [{ words: say("approval_above", { limit: money(limit) }) }] : [];
  };

  const drawReasons = (reasons) => {
    parts.why.hidden = reasons.length < 2;
    parts.reasons.replaceChildren(...reasons.map(reasonRow));
  };

  const drawLines = () => {
    parts.lines.replaceChildren(...state.lines.map((line, place) => {
      const row = clone("part-line");
      const own = slots(row);
      own.name.textContent = line.name;
      own.words.textContent = `${number(line.quantity)} × ${money(line.unit_minor)}`;
      own.sum.textContent = money(line.quantity * line.unit_minor);
      own.remove.setAttribute("aria-label", say("remove_item", { name: line.name }));
      own.remove.addEventListener("click", () => {
        state.lines.splice(place, 1);
        drawLines();
        changed();
        parts.text.focus();
      });
      return row;
    }));
    const sum = basket().amount_minor;
    const has = state.lines.length > 0;
    parts.total.textContent = has ? counted("items_total", state.lines.length, { amount: money(sum) }) : say("items_none");
    showNewest();
  };
  // Where the list stands above the keys and scrolls, its newest row is what one looks for.
  const showNewest = () => {
    const above = parts.basket.closest(".customer-info");
    if (!above || !state.byLines) return;
    above.scrollTop = state.lines.length ? parts.basket.offsetTop + parts.basket.offsetHeight - above.clientHeight : 0;
  };

  const askQuote = async () => {
    const mine = ++asked;
    const wanted = basket();
    if (wanted.amount_minor === null) return;
    const answer = await quote(wanted);
    if (mine !== asked) return;
    state.quoted = answer;
    draw();
    showNewest();
  };
  const changed = () => {
    state.hear?.();
    window.clearTimeout(timer);
    asked += 1;
    state.quoted = null;
    draw();
    if (basket().amount_minor !== null) timer = window.setTimeout(askQuote, QUOTE_AFTER_MS);
  };

  const addLine = () => {
    const { minor } = typed();
    if (minor === null) return;
    const chosen = categories.find((one) => one.key === parts.form.elements.category?.value) ?? null;
    state.lines.push({
      quantity: state.pieces,
      unit_minor: minor,
      ...(chosen ? { category: chosen.key } : {}),
      name: chosen?.name ?? say("item"),
    });
    parts.text.value = "";
    setPieces(1);
    drawLines();
    changed();
    parts.text.focus();
  };
  const setPieces = (count) => {
    state.pieces = Math.min(Math.max(count, 1), 999);
    parts.pieces.textContent = number(state.pieces);
    parts.fewer.disabled = state.pieces === 1;
  };
  const setKind = (byLines) => {
    state.byLines = byLines;
    for (const one of [parts.basket, parts.add, parts.categories, parts.piecesBox]) one.hidden = !byLines;
    drawLines();
    parts.label.textContent = say(byLines ? "price" : "amount");
    parts.byLines.setAttribute("aria-pressed", String(byLines));
    parts.form.classList.toggle("by-lines", byLines);
    changed();
    parts.text.focus();
  };
  setPieces(1);

  parts.text.addEventListener("input", changed);
  parts.byLines.addEventListener("click", () => setKind(!state.byLines));
  parts.fewer.addEventListener("click", () => setPieces(state.pieces - 1));
  parts.more.addEventListener("click", () => setPieces(state.pieces + 1));
  parts.add.addEventListener("click", addLine);
  parts.addCode.addEventListener("click", async () => {
    const code = await askCode();
    if (code) offer(code);
  });

  const offer = (code) => {
    if (!state.codes.includes(code)) state.codes.push(code);
    drawCodes();
    changed();
  };
  const drawCodes = () => {
    parts.chips.replaceChildren(...state.codes.map((code) => {
      const chip = clone("part-chip");
      const own = slots(chip);
      own.name.textContent = code;
      const [button] = chip.getElementsByTagName("button");
      button.setAttribute("aria-label", say("remove_code", { code }));
      button.addEventListener("click", () => {
        state.codes = state.codes.filter((one) => one !== code);
        drawCodes();
        changed();
      });
      return chip;
    }));
  };

  const enter = async () => {
    if (state.byLines && parts.text.value.trim()) {
      addLine();
      return;
    }
    draw(true);
    if (!parts.confirm.disabled) await confirm(basket(), state.quoted, parts.confirm);
    else parts.text.focus();
  };
  parts.form.addEventListener("submit", (event) => {
    event.preventDefault();
    enter();
  });
  // Browsers send no form whose button is off; but Enter also adds an item.
  parts.text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    enter();
  });

  draw();
  return {
    node,
    /** Puts the keys beside what is known of the customer, and the items among it; where there is little room, the rarer keys too. */
    placeIn({ amount, who }) {
      amount.replaceWith(node);
      who.querySelector("header").after(parts.basket);
      if (!matchMedia("(min-width: 56rem)").matches) who.append(parts.extraKeys);
    },
    field: parts.text,
    basket,
    offer,
    isEmpty: () => !parts.text.value.trim() && state.lines.length === 0,
    /** What was entered, to be put back by `restore`. */
    save: () => ({ text: parts.text.value, lines: state.lines, codes: state.codes, byLines: state.byLines }),
    restore({ text, lines, codes, byLines }) {
      state.lines = lines;
      state.codes = codes;
      drawLines();
      drawCodes();
      if (byLines) setKind(true);
      fillIn(text);
    },
    onChange: (hear) => { state.hear = hear; },
    clear() {
      parts.text.value = "";
      state.lines = [];
      drawLines();
      changed();
    },
    /** Digits typed anywhere go to the amount. True when the key was one of its own. */
    takes(event) {
      if (!/^[0-9]$/.test(event.key) && event.key !== "Backspace" && event.key !== sign) return false;
      parts.text.focus();
      return true;
    },
  };
}

/** One reason of a quote or receipt as a row. */
export function reasonRow(reason) {
  const row = document.createElement("li");
  const words = document.createElement("span");
  const figure = document.createElement("strong");
  words.textContent = reason.words;
  figure.className = "figure";
  figure.dir = "ltr";
  figure.textContent = reason.points.startsWith("-") ? `−${reason.points.slice(1)}` : `+${reason.points}`;
  row.append(words, figure);
  return row;
}

function askCode() {
  return dialog("dialog-entry", (node, parts, close) => {
    parts.title.textContent = say("offer_code");
    tell(parts.text, say("offer_code_hint"));
    parts.label.textContent = say("offer_code");
    parts.yes.textContent = say("add_code");
    parts.form.addEventListener("submit", (event) => {
      event.preventDefault();
      close(parts.entry.value.trim() || null);
    });
  });
}
