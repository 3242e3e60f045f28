// The till's app: who works here, which screen is shown, what the keys do, and when to lock.

import "./view-attention.js";
import "./view-help.js";
import "./view-join.js";
import "./view-member.js";
import "./view-mine.js";
import "./view-receipt.js";
import "./view-return.js";
import "./view-sale.js";
import "./view-scan.js";
import { awake } from "./feedback.js";
import { lock, present as atWork, signOut, whenIdle } from "./lock.js";
import * as queue from "./queue.js";
import { snapshot } from "./records.js";
import { install } from "./shell.js";
import { arrive, isAskable, isClaim, isCode, takeClaim } from "./view-arrive.js";
import { lookAtHeld } from "./view-held.js";
import { isIdle, openMenu } from "./view-menu.js";
import { announce, ask, isTyping, tell, toast } from "./view-parts.js";
import { openSearch } from "./view-search.js";
import { onSignedIn } from "./view-signin.js";
import { bringBack, go, homeIs, onStage, setAside } from "./view-stage.js";
import { isOpen, setPractice, till, unfinished, wasPractising } from "./view-state.js";
import { banner, redraw, watch } from "./view-status.js";
import { counted, say, speakFor } from "./view-words.js";
import { listen } from "./wedge.js";

// A scanner types whole texts, a person single keys: a shortcut waits a moment to see which it is.
const ALONE_MS = 120;

// Who works here ----------------------------------------------------------------

let heard = false;
let hasEnded = false;

async function start() {
  // A language or look that was chosen is kept by the server; the address stays plain.
  if (location.search) history.replaceState(history.state, "", location.pathname);
  homeIs(() => ({ open: "scan", signin: "signin" })[standing(till.now)] ?? "pair");
  watch();
  install({ onNewVersion: offer });
  whenIdle(onLock);
  await work();
  // What the device remembers is shown at once; the server's word comes when it comes.
  await queue.begin();
  heard = true;
  await work();
  if (!till.now) await unknown();
  let seen = null;
  queue.onChange(async ({ syncedAt }) => {
    if (syncedAt === seen) return;
    seen = syncedAt;
    await work();
  });
}

/** Go on with what the device knows of this till: the server's last word, and who works here. */
async function work() {
  const [now, present] = await Promise.all([snapshot(), atWork()]).catch(() => [null, null]);
  if (!now) return;
  // Before a shop was chosen there is nothing to remember: only the server's new word counts.
  if (!now.programme && !heard) return;
  const was = standing(till.now);
  const is = standing({ ...now, person: present?.person ?? null });
  // Nobody is taken away from what they are doing: an ended session shows when they are done.
  hasEnded = was === "open" && is !== "open" && !isIdle();
  if (hasEnded) return;
  till.now = { ...now, person: present?.person ?? null };
  if (now.programme) dress(now);
  else if (present && !present.offline) location.assign("/till/place");
  drawPlace();
  redraw();
  if (was === is && onStage()) return;
  if (is === "open") await open();
  else await go(is, { again, isBlocked: now.revoked }, { asked: false });
}

/** Somebody came in: what they were typing is there again, or the next customer. */
async function open() {
  const typed = unfinished();
  setPractice(wasPractising());
  redraw();
  if (resume()) return;
  await go("scan", {}, { asked: false });
  if (typed) await arrive(typed.code, { quiet: true, kept: typed });
}

function standing(now) {
  if (!now) return null;
  if (now.person && now.programme) return "open";
  return now.paired && now.programme ? "signin" : "pair";
}

/** The server has never been reached from here. */
async function unknown() {
  await go("pair", { again, trouble: say("first_start_offline") });
}

async function again() {
  await queue.sync().catch(() => {});
}

function dress({ programme }) {
  speakFor(programme);
  if (!programme.theme || document.querySelector(`link[href="${programme.theme}"]`)) return;
  const sheet = document.createElement("link");
  sheet.rel = "stylesheet";
  sheet.href = programme.theme;
  document.head.append(sheet);
}

function drawPlace() {
  const { till: device, person, programme } = till.now;
  const shop = device?.shop_name ?? till.now.place?.shop_name ?? programme?.name;
  if (shop) document.querySelector("#bar-shop bdi").textContent = shop;
  tell(document.querySelector("#bar-person"), person?.name);
  document.querySelector("#bar-links").hidden = !person;
  document.querySelector("#bar-links [data-do=lock]").hidden = !till.now.paired;
  document.title = shop ? `${say("till")} · ${shop}` : say("till");
}

onSignedIn(work);
document.addEventListener("till:screen", () => {
  if (hasEnded && isIdle()) work();
});

// Whoever comes back to a locked till finds the amount that they were typing.
let aside = null;

function resume() {
  const left = aside;
  aside = null;
  return left?.login === till.now.person.login ? bringBack(left.screen) : null;
}

async function onLock() {
  if (!isOpen()) return;
  for (const box of document.querySelectorAll("dialog[open]")) box.close();
  const { login } = till.now.person;
  aside = onStage().isEmpty?.() === false ? { login, screen: setAside() } : null;
  await away();
  announce(say("locked"));
}

async function lockUp() {
  await lock();
  await onLock();
}

async function leave() {
  if (onStage().mayLeave && !(await onStage().mayLeave())) return;
  const { waiting } = till.queue;
  const sure = await ask({
    title: say("sign_out_title"),
    text: waiting ? counted("sign_out_waiting", waiting) : say("sign_out_text"),
    yes: say("sign_out"),
    danger: waiting > 0,
  });
  if (!sure) return;
  await signOut();
  await away();
}

async function away() {
  setPractice(false);
  till.last = null;
  till.now = { ...till.now, person: null };
  drawPlace();
  redraw();
  await go(standing(till.now), { again }, { asked: false });
}

// A new version --------------------------------------------------------------------

function offer(reload) {
  const show = () => banner("version", isIdle() ? say("new_version") : "", { label: say("reload"), act: reload });
  document.addEventListener("till:screen", show);
  show();
}

// Keys and scanners ---------------------------------------------------------------

let alone = 0;
listen({
  accept: (text) => isOpen() && isCode(text),
  onText: async (text) => {
    window.clearTimeout(alone);
    document.querySelector("dialog[open]")?.close();
    await arrive(text);
  },
  onOther: (text, { fromAmount }) => {
    window.clearTimeout(alone);
    if (!isOpen()) return;
    if (isClaim(text) || isAskable(text)) {
      (isClaim(text) ? takeClaim : arrive)(text);
      return;
    }
    announce(say("not_a_card"), { urgent: true });
    if (fromAmount || onStage().name !== "scan") toast(say("not_a_card"));
    else go("scan", { wrong: say("not_a_card") });
  },
});

document.addEventListener("keydown", (event) => {
  window.clearTimeout(alone);
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  if (document.querySelector("dialog[open]")) return;
  const inAmount = event.target.matches?.("[data-amount]");
  if (isTyping(event.target) && !(inAmount && !/^[\d.,\s]$/.test(event.key) && event.key.length === 1) && event.key !== "Escape") return;
  if (event.key.length === 1 && !/\d/.test(event.key)) {
    // Letters have no place in an amount: they are shortcuts there too.
    if (inAmount) event.preventDefault();
    alone = window.setTimeout(() => shortcut(event), ALONE_MS);
    if (event.key === "/") event.preventDefault();
    return;
  }
  onStage()?.keys?.(event);
});

async function shortcut(event) {
  if (!isOpen() || document.querySelector("dialog[open]")) return;
  const key = event.key.toLowerCase();
  if (onStage().keys?.(event)) return;
  if (key === "s") await go("scan", { scan: true });
  else if (key === "/") await openSearch();
  else if (key === "?") await go("help");
}

document.querySelector("#menu-button").addEventListener("click", () => openMenu({ lock: lockUp, leave }));
document.querySelector("#bar-links").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.go) go(button.dataset.go);
  else if (button?.dataset.do === "lock") lockUp();
});

lookAtHeld();
awake();
start();
