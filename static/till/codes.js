// Card codes as passes/loyalty/codes.py knows them: what a text that was scanned or typed means,
// found out without asking anybody. A test asks both the same questions.

const ALPHABET = "23456789CDFHJKMNPQRTVWX";
const LENGTHS = { letters: 16, digits16: 16, ean13: 13 };

// Powers of 5 modulo 23: each wrong character, each swap of neighbours shows.
const WEIGHTS = Array.from({ length: LENGTHS.letters }, (_, place) => {
  let weight = 1;
  for (let step = 0; step < place; step += 1) weight = (weight * 5) % 23;
  return weight;
});

// Damm's totally anti-symmetric quasigroup of order ten.
const DAMM = [
  "0317598642", "7092154863", "4206871359", "1750983426", "6123045978",
  "3674209581", "5869720134", "8945362017", "9438617205", "2581436790",
];

// Hyphens of every kind, and the invisible marks that copying from a web page drags along.
const DROPPED = new Set("-‐‑‒–—―−\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad\u0307");
const SPACE = /[\s\u001c-\u001f\u0085]/u;
// What a scanner may be told to say before the text: which kind of barcode it saw.
const AIM_IDENTIFIER = /^\][A-Za-z][0-9A-Za-z]/;

/** What a person or a scanner meant: upper case, no spaces or dashes, the same in every locale. */
export function normalise(text) {
  let meant = "";
  for (const symbol of text) {
    if (SPACE.test(symbol) || DROPPED.has(symbol)) continue;
    if (symbol === "ı" || symbol === "İ") meant += "I";
    else meant += symbol >= "a" && symbol <= "z" ? symbol.toUpperCase() : symbol;
  }
  return meant;
}

/** The code in a text, or null when it holds none: wrong length, foreign symbols, wrong check character. */
export function readCode(text, kind) {
  const code = normalise(text.replace(AIM_IDENTIFIER, ""));
  return code.length === LENGTHS[kind] && isSound[kind](code) ? code : null;
}

/**
 * Whether a text can be a card's code of a former system, which only the server can tell. What has the shape of
 * this programme's own codes but a wrong check character `isOwnShape`: somebody mistyped it.
 */
export function mayBeKnown(text) {
  return /^[0-9A-Z._:+*#]{1,64}$/.test(normalise(text.replace(AIM_IDENTIFIER, "")));
}

/** Whether a text has the length and the symbols of the programme's own codes, sound or not. */
export function isOwnShape(text, kind) {
  const code = normalise(text.replace(AIM_IDENTIFIER, ""));
  const symbols = kind === "letters" ? ALPHABET : "0123456789";
  return code.length === LENGTHS[kind] && [...code].every((symbol) => symbols.includes(symbol));
}

/** The code in groups of four, for people. */
export function grouped(code) {
  return code.match(/.{1,4}/gu)?.join("-") ?? "";
}

const isSound = {
  letters(code) {
    let sum = 0;
    for (let place = 0; place < code.length; place += 1) {
      const value = ALPHABET.indexOf(code[place]);
      if (value < 0) return false;
      sum += value * WEIGHTS[place];
    }
    return sum % 23 === 0;
  },
  digits16(code) {
    if (!/^[0-9]+$/.test(code)) return false;
    let state = 0;
    for (const digit of code) state = Number(DAMM[state][Number(digit)]);
    return state === 0;
  },
  ean13(code) {
    if (!/^[0-9]+$/.test(code)) return false;
    // The GS1 sum: weights 1, 3, 1, 3, … from the left, over all thirteen digits.
    return [...code].reduce((sum, digit, place) => sum + digit * (place % 2 ? 3 : 1), 0) % 10 === 0;
  },
};

const REPEAT_MS = 3000;
let taken = { text: "", at: -Infinity };

/** Whether a scan counts: a camera and a nervous scanner see one card many times within three seconds. */
export function isFresh(text, at = performance.now()) {
  if (text === taken.text && at - taken.at < REPEAT_MS) return false;
  taken = { text, at };
  return true;
}
