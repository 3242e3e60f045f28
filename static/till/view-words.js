// Words and figures. Every word comes from the shell, where the server wrote it in the page's language.

const list = JSON.parse(document.querySelector("#words").textContent);
const language = document.documentElement.lang;
// Made-up languages of developers count and write as English does.
const counting = /-X[AB]$/.test(language) ? "en" : language;
const kinds = new Intl.PluralRules(counting);
const whole = new Intl.NumberFormat(counting, { maximumFractionDigits: 0 });

let programme = null;

/** From now on amounts and points are those of this programme (as `now` describes it). */
export function speakFor(described) {
  programme = described;
}

/** The words called `key`, with `{name}` filled in. */
export function say(key, values = {}) {
  return fill(list[key], values);
}

/** Like `say` for words that depend on a count, which fills in `{count}`. */
export function counted(key, count, values = {}) {
  const forms = list[key];
  return fill(forms[kinds.select(Math.abs(count))] ?? forms.other, { count: number(count), ...values });
}

function fill(words, values) {
  return words.replace(/\{(\w+)\}/g, (place, name) => (name in values ? String(values[name]) : place));
}

/** A whole number with its grouping; the minus is a real one. */
export function number(value) {
  return whole.format(value).replace("-", "−");
}

/** A change, always with its sign; the minus is a real one. */
export function signed(value) {
  return `${value < 0 ? "−" : "+"}${whole.format(Math.abs(value))}`;
}

/** What so many points are called. */
export function unit(count) {
  return Math.abs(count) === 1 ? programme.unit.one : programme.unit.other;
}

/** So many points, in words. */
export function points(count) {
  return `${number(count)} ${unit(count)}`;
}

/** Minor units as money of the programme's currency. */
export function money(minor) {
  const decimals = programme.decimals;
  return new Intl.NumberFormat(counting, {
    style: "currency",
    currency: programme.currency,
    currencyDisplay: "narrowSymbol",
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  }).format(minor / 10 ** decimals);
}

/** The sign of the programme's currency alone. */
export function currencySign() {
  const parts = new Intl.NumberFormat(counting, {
    style: "currency",
    currency: programme.currency,
    currencyDisplay: "narrowSymbol",
  }).formatToParts(0);
  return parts.find((part) => part.type === "currency").value;
}

/** Minor units as somebody would type them. */
export function asTyped(minor) {
  const { decimals, decimal_sign: sign } = programme;
  const digits = String(minor).padStart(decimals + 1, "0");
  return decimals ? `${digits.slice(0, -decimals)}${sign}${digits.slice(-decimals)}` : digits;
}

/**
 * What somebody typed as minor units, read as the server reads it.
 * `minor` is null where it is not clearly one positive amount; `meant` is then what it may have been,
 * in minor units, and `isUnfinished` says that more digits may still make one of it.
 */
export function readAmount(text) {
  const { decimals, decimal_sign: decimal, group_sign: group } = programme;
  const cleaned = plainDigits(text.trim());
  const minor = parse(cleaned, decimal, group, decimals);
  if (minor !== null) return { minor, meant: null, isUnfinished: false };
  // The signs of the other kind of country: never booked so, but surely meant so.
  const other = parse(cleaned, group === "." || group === "," ? group : decimal === "." ? "," : ".", decimal, decimals);
  const [head, tail = ""] = cleaned.split(decimal);
  const isUnfinished = /^\d*$/.test(head) && /^0*$/.test(tail) && cleaned.split(decimal).length < 3 && tail.length <= decimals;
  return { minor: null, meant: other, isUnfinished };
}

function parse(text, decimal, group, decimals) {
  const [head, ...tail] = text.split(decimal);
  if (tail.length > 1) return null;
  const part = tail[0] ?? "";
  if (tail.length && !(new RegExp(`^\\d{1,${Math.max(decimals, 1)}}$`).test(part) && decimals)) return null;
  const groups = head.replaceAll(" ", group).split(group);
  if (!groups.every((block) => /^\d+$/.test(block))) return null;
  if (groups.length > 1 && !(groups[0].length <= 3 && groups.slice(1).every((block) => block.length === 3))) return null;
  const digits = groups.join("") + part.padEnd(decimals, "0");
  if (digits.length > 15) return null;
  const minor = Number(digits);
  return minor > 0 && minor < 1e12 ? minor : null;
}

/** Digits of any script as 0 to 9, any space as a plain one. */
function plainDigits(text) {
  return [...text].map((symbol) => {
    if (/\s/u.test(symbol)) return " ";
    if (!/\p{Nd}/u.test(symbol)) return symbol;
    // Digits stand in blocks of ten that begin at a zero.
    let zero = symbol.codePointAt(0);
    while (/\p{Nd}/u.test(String.fromCodePoint(zero - 1)) && symbol.codePointAt(0) - zero < 9) zero -= 1;
    return String(symbol.codePointAt(0) - zero);
  }).join("");
}

/** The time of day of an instant, in the shop's zone. */
export function clock(instant) {
  return time(instant, { hour: "numeric", minute: "2-digit" });
}

/** A time of today, or else a date with its time. */
export function moment(instant) {
  return isToday(instant) ? clock(instant) : time(instant, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
}

function isToday(instant) {
  const day = { year: "numeric", month: "2-digit", day: "2-digit" };
  return time(instant, day) === time(new Date(), day);
}

/** When somebody was last here: a time of today, or else a date, with its year if that is another one. */
export function visit(instant) {
  const year = { year: "numeric" };
  const isThisYear = time(instant, year) === time(new Date(), year);
  return isToday(instant) ? clock(instant) : time(instant, { day: "numeric", month: "short", ...(isThisYear ? {} : year) });
}

/** A date without its time. */
export function day(instant) {
  return time(instant, { day: "numeric", month: "long" });
}

/** A time in full with its zone, for whoever points at it. */
export function exact(instant) {
  return time(instant, { dateStyle: "full", timeStyle: "long" });
}

function time(instant, options) {
  return new Intl.DateTimeFormat(counting, { ...options, timeZone: programme?.zone }).format(new Date(instant));
}

/** How long ago something was, roughly. */
export function age(milliseconds) {
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 1) return say("age_moment");
  if (minutes < 60) return counted("age_minutes", minutes);
  if (minutes < 60 * 48) return counted("age_hours", Math.floor(minutes / 60));
  return counted("age_days", Math.floor(minutes / 1440));
}

/** Seconds as 0:52. */
export function countdown(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
