// Waiting for the next card: camera, typed number, photo, search, or no card at all.

import { openCamera } from "./camera.js";
import { grouped, normalise } from "./codes.js";
import { decodeImage, warmUp } from "./decoder.js";
import { fail } from "./feedback.js";
import { announce, clone, once, slots, tell, toast } from "./view-parts.js";
import { arrive, isAskable, isClaim, isMistyped, takeClaim } from "./view-arrive.js";
import { undoer } from "./view-undo.js";
import { openSearch } from "./view-search.js";
import { go, screen } from "./view-stage.js";
import { till } from "./view-state.js";
import { points, say } from "./view-words.js";

const READ_WITHIN_MS = 10_000;

screen("scan", ({ wrong = "", typed = "", scan = false }) => {
  const node = clone("screen-scan");
  const parts = slots(node);
  const { symbologies, former_symbologies: former = [] } = till.now.programme;
  let camera = null;
  let slow = 0;
  let ending = null;

  const refuse = (words) => {
    tell(parts.wrong, words);
    parts.code.toggleAttribute("aria-invalid", false);
    if (words) parts.code.setAttribute("aria-invalid", "true");
  };

  const stop = () => {
    window.clearTimeout(slow);
    ending?.abort();
    camera?.stop();
    camera = ending = null;
    parts.camera.hidden = true;
    parts.start.hidden = false;
  };

  const start = async () => {
    if (ending) return;
    refuse("");
    ending = new AbortController();
    const { signal } = ending;
    parts.start.hidden = true;
    parts.camera.hidden = false;
    parts.watching.textContent = say("camera_hold");
    parts.stop.focus();
    slow = window.setTimeout(() => {
      parts.watching.textContent = say("camera_slow");
      announce(say("camera_slow"));
    }, READ_WITHIN_MS);
    const opened = await openCamera(parts.video, {
      formats: symbologies,
      former,
      signal,
      onText: (text) => {
        if (isClaim(text)) {
          takeClaim(text);
          parts.watching.textContent = say("claim_first");
          return false;
        }
        if (!isAskable(text)) {
          fail();
          parts.watching.textContent = say("not_a_card");
          announce(say("not_a_card"), { urgent: true });
          return false;
        }
        stop();
        arrive(text);
        return true;
      },
      onTrouble: (trouble) => {
        stop();
        fail();
        refuse(say(`camera_${trouble}`));
        parts.code.focus();
      },
    });
    if (signal.aborted) {
      opened.stop();
      return;
    }
    camera = opened;
    await drawTools();
  };

  const drawTools = async () => {
    const torch = camera.torch;
    parts.torch.hidden = !torch;
    if (torch) {
      parts.torch.setAttribute("aria-pressed", "false");
      parts.torch.onclick = async () => {
        const on = parts.torch.getAttribute("aria-pressed") !== "true";
        await torch(on);
        parts.torch.setAttribute("aria-pressed", String(on));
      };
    }
    const cameras = await camera.cameras();
    parts.choice.hidden = cameras.length < 2;
    parts.cameras.replaceChildren(...cameras.map((one, place) => new Option(one.label || say("camera_number", { number: place + 1 }), one.id, one.isChosen, one.isChosen)));
  };
  parts.cameras.addEventListener("change", () => camera?.choose(parts.cameras.value));
  parts.start.addEventListener("click", start);
  parts.stop.addEventListener("click", () => {
    stop();
    parts.start.focus();
  });
  // Loaded while nobody waits for it.
  window.setTimeout(() => parts.start.isConnected && warmUp(), 1500);

  // Typed: in groups as it stands on the card, and checked here before anybody is asked.
  parts.code.addEventListener("input", () => {
    refuse("");
    if (parts.code.selectionStart === parts.code.value.length) parts.code.value = grouped(normalise(parts.code.value));
  });
  parts.form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = parts.code.value.trim();
    if (!text) {
      start();
    } else if (isMistyped(text)) {
      fail();
      refuse(say("check_number"));
      parts.code.select();
    } else {
      once(event.submitter ?? parts.code, () => arrive(text));
    }
  });
  parts.photo.addEventListener("change", async () => {
    const [photo] = parts.photo.files;
    if (!photo) return;
    refuse("");
    parts.form.dataset.reading = "1";
    try {
      const text = await decodeImage(photo, symbologies, former);
      if (!node.isConnected) return;
      if (text !== null && isClaim(text)) {
        await takeClaim(text);
      } else if (text === null || !isAskable(text)) {
        fail();
        refuse(say(text === null ? "photo_empty" : "not_a_card"));
      } else {
        await arrive(text);
      }
    } catch {
      fail();
      refuse(say("photo_empty"));
    } finally {
      delete parts.form.dataset.reading;
      parts.photo.value = "";
    }
  });
  parts.search.hidden = till.now.rules.lookup === false;
  parts.search.addEventListener("click", openSearch);
  parts.sale.addEventListener("click", () => go("sale"));
  parts.join.addEventListener("click", () => go("join"));

  const name = till.last?.name;
  const undo = till.last && undoer(till.last, {
    button: parts.undo,
    left: parts.left,
    onEnd: () => { parts.last.hidden = true; },
    onDone: ({ answer }) => {
      const now = answer?.balance;
      toast(typeof now === "number" ? say("undone_now", { name, points: points(now) }) : say("undone"));
      parts.last.hidden = true;
      parts.start.focus();
    },
    onRefused: (words) => toast(words),
  });
  if (undo) {
    parts.last.hidden = false;
    parts.lastWho.textContent = till.last.name;
    parts.lastPoints.textContent = till.last.change;
  }

  if (typed) parts.code.value = grouped(normalise(typed));
  if (wrong) refuse(wrong);
  if (scan) start();
  const begins = { focus: wrong ? parts.code : parts.start };
  return {
    node,
    focus: begins.focus,
    leave: () => {
      stop();
      undo?.stop();
    },
    keys: (event) => {
      if (event.key.toLowerCase() === "s") start();
      else if (event.key === "Escape" && ending) {
        stop();
        parts.start.focus();
      } else return false;
      return true;
    },
  };
});
