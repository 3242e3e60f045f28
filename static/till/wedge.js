// Hand scanners that type like a keyboard, wherever the focus is. What they typed is recognised by what it
// is, not by how fast it came: some take 80 ms a key. Each key is noted twice, as the letter that this computer
// made of it and as the key that was pressed, because a scanner that believes in an American keyboard types
// other letters and digits on a Turkish, French or German one.

import { isFresh } from "./codes.js";

const NEW_BUFFER_MS = 250; // After a pause like this somebody else begins to type.
const SILENCE_MS = 100; // Scanners without Enter or Tab just stop.
const FAST_MS = 60; // Nobody types like this for long.
const ECHO_MS = 100; // Enter and line feed after each other are one end.
const OTHER_LENGTH_MIN = 6;
// What a quick hand types into an amount; an article number has more digits and no comma.
const AMOUNT_TYPED = /^(?!\d{8})[\d.,' ]+$/;
const AMOUNT = "input[inputmode=decimal], input[data-amount]";
const PREFIX = "passes-till-prefix";

const PLAIN = {
  Minus: "-_", Equal: "=+", BracketLeft: "[{", BracketRight: "]}", Backslash: "\\|", Semicolon: ";:",
  Quote: "'\"", Backquote: "`~", Comma: ",<", Period: ".>", Slash: "/?", Space: "  ",
  NumpadAdd: "++", NumpadSubtract: "--", NumpadMultiply: "**", NumpadDivide: "//", NumpadDecimal: "..",
};
const SHIFTED_DIGITS = ")!@#$%^&*(";

/** What an American keyboard would have written, or "" for a key that writes nothing. */
export function physical({ code, shiftKey }) {
  if (/^Key[A-Z]$/.test(code)) return code.slice(3);
  if (/^Numpad[0-9]$/.test(code)) return code.slice(6);
  if (/^Digit[0-9]$/.test(code)) return shiftKey ? SHIFTED_DIGITS[code.slice(5)] : code.slice(5);
  return PLAIN[code]?.[shiftKey ? 1 : 0] ?? "";
}

/** What the scanner writes before each code, as set on this device; "" for nothing. */
export function prefix() {
  try {
    return localStorage.getItem(PREFIX) ?? "";
  } catch {
    return "";
  }
}

/** Remembers on this device what the scanner writes before each code. */
export function setPrefix(text) {
  try {
    localStorage.setItem(PREFIX, text.trim());
  } catch {
    // A browser that keeps nothing: most codes are recognised without.
  }
}

const stripped = (text) => {
  const before = prefix();
  return before && text.toUpperCase().startsWith(before.toUpperCase()) ? text.slice(before.length) : text;
};

/** The two things that keys can mean, without the prefix: by this computer's layout, then by an American one. */
export function meanings(keys) {
  const written = stripped(keys.map((key) => (key.key.length === 1 ? key.key : key.physical)).join(""));
  const pressed = stripped(keys.map((key) => key.physical).join(""));
  return written === pressed ? [written] : [written, pressed];
}

const field = () => {
  const one = document.activeElement;
  return one?.matches("input, textarea") && !one.readOnly ? one : null;
};
const isAmount = (one) => Boolean(one?.matches(AMOUNT));

/**
 * Listens until the returned function is called. `accept(text)` says whether a text is a code, without asking
 * anybody; `onText(text, {fromAmount})` gets it, not twice within three seconds. What was typed is taken out of
 * the field that had the focus. `onOther(text, {fromAmount})`, if given, hears of a scan that is no code
 * when the focus was nowhere or in an amount, which it is taken out of.
 * `onKeys(keys)`, if given, gets every finished buffer as {key, code, physical, at}, for who tests a scanner.
 */
export function listen({ accept, onText, onOther, onKeys }) {
  let keys = [];
  let first = null; // The field that had the focus when the first key came.
  let befores = new Map(); // What each field held before the scan wrote into it.
  let timer = 0;
  let endedAt = -Infinity;

  const gapMs = () => (keys.length < 2 ? Infinity : (keys.at(-1).at - keys[0].at) / (keys.length - 1));
  const clear = () => {
    window.clearTimeout(timer);
    keys = [];
    first = null;
    befores = new Map();
  };
  const takeBack = () => {
    for (const [one, before] of befores) {
      if (one.value === before) continue;
      one.value = before;
      one.dispatchEvent(new Event("input", { bubbles: true }));
    }
  };

  // Both return whether what came was a scanner's, so that nobody else should hear of its end.
  const takeCode = ({ isSure }) => {
    const found = meanings(keys).find((text) => text && accept(text));
    // Somebody who types slowly into a field may not be done yet: Enter will tell.
    if (found === undefined || (!isSure && first && gapMs() > FAST_MS)) return false;
    const about = { fromAmount: isAmount(first) };
    onKeys?.(keys);
    takeBack();
    clear();
    if (isFresh(found)) onText(found, about);
    return true;
  };
  const takeOther = () => {
    const [text] = meanings(keys);
    if (keys.length < OTHER_LENGTH_MIN || gapMs() > FAST_MS) return false;
    const fromAmount = isAmount(first);
    if (!onOther || (first && !fromAmount) || (fromAmount && AMOUNT_TYPED.test(text))) return false;
    onKeys?.(keys);
    takeBack();
    clear();
    if (isFresh(text)) onOther(text, { fromAmount });
    return true;
  };
  const wait = () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(() => {
      if (takeCode({ isSure: false })) endedAt = performance.now();
      // Half of a code that is still on its way by radio must not be taken for something else.
      else timer = window.setTimeout(takeOther, NEW_BUFFER_MS - SILENCE_MS);
    }, SILENCE_MS);
  };

  const heard = (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const at = event.timeStamp;
    if (event.key === "Enter" || event.key === "Tab") {
      window.clearTimeout(timer);
      const isEcho = !keys.length && at - endedAt < ECHO_MS;
      if (isEcho || (keys.length && at - keys.at(-1).at < NEW_BUFFER_MS && (takeCode({ isSure: true }) || takeOther()))) {
        endedAt = at;
        event.preventDefault();
        event.stopImmediatePropagation();
      } else {
        clear();
      }
      return;
    }
    const pressed = physical(event);
    if (event.key.length !== 1 && !pressed) {
      // Shift and CapsLock belong to a scan; arrows and Backspace are a person's.
      if (!["Shift", "CapsLock", "AltGraph"].includes(event.key)) clear();
      return;
    }
    if (event.repeat || (keys.length && at - keys.at(-1).at > NEW_BUFFER_MS)) clear();
    if (event.repeat) return; // A finger that rests on a key.
    const one = field();
    if (!keys.length) {
      first = one;
      // A page may lead digits that were meant for nobody into its amount.
      for (const amount of document.querySelectorAll(AMOUNT)) befores.set(amount, amount.value);
    }
    if (one && !befores.has(one)) befores.set(one, one.value);
    keys.push({ key: event.key, code: event.code, physical: pressed, at });
    wait();
  };

  document.addEventListener("keydown", heard, { capture: true });
  return () => {
    clear();
    document.removeEventListener("keydown", heard, { capture: true });
  };
}
