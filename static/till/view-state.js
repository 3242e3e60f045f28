// What the screens share: who works here, what the server said last, what waits.

export const till = {
  /** The newest answer of /till/api/now, or the one that was kept for a start without network. */
  now: null,
  /** Whether everything only looks as if it were booked. */
  practice: false,
  /** How the queue stands: {waiting, oldestAt, online, attention, skewSeconds, syncedAt}. */
  queue: { waiting: 0, oldestAt: null, online: navigator.onLine, attention: 0, skewSeconds: 0, syncedAt: null },
  /** What was booked last, as long as it may be undone: {result, name, words, until}. */
  last: null,
  /** The code of a guest's receipt that waits for a card to give its points to. */
  claim: null,
};

const UNFINISHED = "passes-till-unfinished";

/** Keep a purchase that is being typed, {code, …}, for a page that is loaded anew; null forgets it. */
export function remember(purchase) {
  if (purchase) sessionStorage.setItem(UNFINISHED, JSON.stringify({ login: till.now.person.login, ...purchase }));
  else sessionStorage.removeItem(UNFINISHED);
}

/** The purchase that this person was typing when the page was loaded anew, once; or null. */
export function unfinished() {
  const found = JSON.parse(sessionStorage.getItem(UNFINISHED) ?? "null");
  sessionStorage.removeItem(UNFINISHED);
  return found?.login === till.now.person.login ? found : null;
}

const PRACTISING = "passes-till-practising";

/** Begin or end practice; it lasts for this person, also when the page is loaded anew. */
export function setPractice(on) {
  till.practice = on;
  if (on) sessionStorage.setItem(PRACTISING, till.now.person.login);
  else sessionStorage.removeItem(PRACTISING);
  document.documentElement.classList.toggle("practising", on);
}

/** Whether this person was practising when the page was loaded. */
export function wasPractising() {
  return sessionStorage.getItem(PRACTISING) === till.now.person.login;
}

/** The present instant by the server's clock, in milliseconds. */
export function serverTime() {
  return Date.now() - (till.queue.skewSeconds ?? 0) * 1000;
}

/** Whether somebody is signed in and the till is not locked. */
export function isOpen() {
  return Boolean(till.now?.person);
}
