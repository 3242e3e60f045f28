// That something was read is heard, felt and seen, so that nobody has to look twice.

const MUTED = "passes-till-muted";
const FLASH_MS = 450;

let context = null;

// Browsers keep quiet until somebody has touched the page.
const awaken = () => {
  context ??= new AudioContext();
  context.resume();
};
for (const touch of ["pointerdown", "keydown"]) {
  document.addEventListener(touch, awaken, { once: true, capture: true, passive: true });
}

let isMuted = false;
try {
  isMuted = localStorage.getItem(MUTED) === "yes";
} catch {
  // A browser that keeps nothing.
}

/** Whether this till is silent. */
export function muted() {
  return isMuted;
}

/** Makes this till silent or lets it sound again, and remembers it on this device. */
export function mute(isWished) {
  isMuted = isWished;
  try {
    localStorage.setItem(MUTED, isWished ? "yes" : "no");
  } catch {
    // Silent for this visit.
  }
}

const sound = (tones, kind) => {
  if (isMuted || context?.state !== "running") return;
  let at = context.currentTime;
  for (const [hertz, seconds] of tones) {
    const voice = new OscillatorNode(context, { frequency: hertz, type: kind });
    const loudness = new GainNode(context, { gain: 0.18 });
    // Ends softly: a tone that is cut off clicks.
    loudness.gain.setTargetAtTime(0, at + seconds * 0.7, seconds * 0.1);
    voice.connect(loudness).connect(context.destination);
    voice.start(at);
    voice.stop(at + seconds);
    at += seconds;
  }
};

let timer = 0;
const flash = (name) => {
  const { classList } = document.documentElement;
  classList.remove("flash-read", "flash-wrong");
  classList.add(name);
  window.clearTimeout(timer);
  timer = window.setTimeout(() => classList.remove(name), FLASH_MS);
};

/** A card was read or something was booked: a high tone, a short buzz, the class `flash-read` on the page. */
export function succeed() {
  sound([[880, 0.07], [1320, 0.11]], "sine");
  navigator.vibrate?.(60);
  flash("flash-read");
}

/** Something is wrong: a low tone, two buzzes, the class `flash-wrong` on the page. */
export function fail() {
  sound([[220, 0.16], [175, 0.22]], "triangle");
  navigator.vibrate?.([90, 60, 90]);
  flash("flash-wrong");
}

/**
 * Keeps the screen on while the page is seen, until the returned function is called. Browsers that cannot are
 * left alone.
 */
export function awake() {
  let lock = null;
  let isOver = false;
  const release = () => {
    lock?.release().catch(() => {});
    lock = null;
  };
  const look = async () => {
    if (document.hidden) release();
    if (document.hidden || lock) return;
    try {
      lock = await navigator.wakeLock.request("screen");
      if (isOver || document.hidden) release();
    } catch {
      // Not allowed, as with a nearly empty battery, or not known here.
    }
  };
  document.addEventListener("visibilitychange", look);
  look();
  return () => {
    isOver = true;
    document.removeEventListener("visibilitychange", look);
    release();
  };
}
