// The page that shows what a scanner or a camera sends. It asks nobody and books nothing.

import { openCamera } from "./camera.js";
import { grouped, readCode } from "./codes.js";
import { decodeImage, warmUp } from "./decoder.js";
import { awake, fail, mute, muted, succeed } from "./feedback.js";
import { number, say } from "./view-words.js";
import { listen, prefix, setPrefix } from "./wedge.js";

const page = document.querySelector(".scanner");
const at = (id) => document.getElementById(id);
const { kind } = page.dataset;
const formats = page.dataset.formats.split(" ");

const show = (text, how) => {
  const code = readCode(text, kind);
  at("verdict").dataset.state = code ? "card" : "wrong";
  at("verdict-words").textContent = say(code ? "card" : "wrong");
  at("verdict-code").textContent = code ? grouped(code) : text;
  at("verdict-how").textContent = how;
  if (code) succeed();
  else fail();
};

// A hand scanner ----------------------------------------------------------------

const cell = (text) => {
  const made = document.createElement("td");
  const apart = document.createElement("bdi");
  apart.textContent = text;
  made.append(apart);
  return made;
};

let howTyped = "";
const list = (keys) => {
  const rows = keys.map((key, place) => {
    const row = document.createElement("tr");
    const later = place ? number(Math.round(key.at - keys[place - 1].at)) : "";
    row.append(cell(key.key), cell(key.code), cell(key.physical), cell(later));
    return row;
  });
  at("keys").replaceChildren(...rows);
  const total = keys.at(-1).at - keys[0].at;
  const mean = keys.length > 1 ? total / (keys.length - 1) : 0;
  const timing = { count: number(keys.length), total: number(Math.round(total)), mean: number(Math.round(mean)) };
  const differs = keys.some((key) => key.key.toUpperCase() !== key.physical.toUpperCase());
  howTyped = say("keys", timing) + (differs ? `. ${say("layout")}` : "");
};

listen({
  accept: (text) => readCode(text, kind) !== null,
  onKeys: list,
  onText: (text) => show(text, howTyped),
  onOther: (text) => show(text, howTyped),
});

at("prefix").value = prefix();
at("prefix").addEventListener("change", () => setPrefix(at("prefix").value));

// A camera ----------------------------------------------------------------------

let camera = null;
let opening = null;

const close = () => {
  opening?.abort();
  camera?.stop();
  camera = null;
  at("lens").hidden = true;
  at("start").hidden = false;
};

const tools = async () => {
  at("torch").hidden = !camera?.torch;
  at("torch").setAttribute("aria-pressed", "false");
  const cameras = (await camera?.cameras()) ?? [];
  at("choice").hidden = cameras.length < 2;
  at("cameras").replaceChildren(
    ...cameras.map(({ id, label, isChosen }, place) =>
      new Option(label || say("camera", { count: number(place + 1) }), id, isChosen, isChosen)),
  );
};

at("start").addEventListener("click", async () => {
  const began = performance.now();
  at("trouble").hidden = true;
  at("start").hidden = true;
  at("lens").hidden = false;
  opening = new AbortController();
  const opened = await openCamera(at("video"), {
    formats,
    signal: opening.signal,
    onText(text) {
      close();
      at("start").focus();
      show(text, say("seen", { total: number(Math.round(performance.now() - began)) }));
    },
    onTrouble(trouble) {
      close();
      at("trouble").textContent = say(trouble);
      at("trouble").hidden = false;
    },
  });
  if (at("lens").hidden) return;
  camera = opened;
  await tools();
});
at("stop").addEventListener("click", () => {
  close();
  at("start").focus();
});
at("torch").addEventListener("click", async () => {
  const isOn = at("torch").getAttribute("aria-pressed") !== "true";
  await camera?.torch?.(isOn);
  at("torch").setAttribute("aria-pressed", String(isOn));
});
at("cameras").addEventListener("change", async () => {
  await camera?.choose(at("cameras").value);
  await tools();
});

// A photo -----------------------------------------------------------------------

at("photo").addEventListener("change", async () => {
  const [photo] = at("photo").files;
  if (!photo) return;
  const began = performance.now();
  let text = null;
  let words = say("nothing");
  try {
    text = await decodeImage(photo, formats);
  } catch {
    words = say("unreadable");
  }
  at("photo").value = "";
  if (text !== null) {
    show(text, say("photo", { total: number(Math.round(performance.now() - began)) }));
    return;
  }
  at("verdict").dataset.state = "wrong";
  at("verdict-words").textContent = words;
  at("verdict-code").textContent = "";
  at("verdict-how").textContent = "";
  fail();
});

// Sound and screen --------------------------------------------------------------

at("sounds").checked = !muted();
at("sounds").addEventListener("change", () => mute(!at("sounds").checked));
at("listen").addEventListener("click", succeed);
awake();
warmUp();
