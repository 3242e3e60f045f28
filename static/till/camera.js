// The till's camera: asked for once a visit, running only while somebody scans.

import { isFresh } from "./codes.js";
import { decodeFrame } from "./decoder.js";

const FRAME_MS_MIN = 80; // At most some twelve pictures a second: more only warm the phone.
const TROUBLE_MS = 1000;
const CHOSEN = "passes-till-camera";

// Somebody who said no is not asked again before the page is opened anew or the browser was told otherwise.
let wasRefused = false;

const kindOf = (error) => {
  if (error.name === "NotAllowedError" || error.name === "SecurityError") return "refused";
  if (error.name === "NotFoundError" || error.name === "OverconstrainedError") return "absent";
  return "busy";
};

const mayAsk = async () => {
  if (!wasRefused) return true;
  try {
    return (await navigator.permissions.query({ name: "camera" })).state === "granted";
  } catch {
    return false; // A browser that does not tell.
  }
};

const remembered = () => {
  try {
    return localStorage.getItem(CHOSEN);
  } catch {
    return null;
  }
};

const request = (deviceId) =>
  navigator.mediaDevices.getUserMedia({
    audio: false,
    video: {
      width: { ideal: 1280 },
      height: { ideal: 720 },
      ...(deviceId ? { deviceId: { exact: deviceId } } : { facingMode: { ideal: "environment" } }),
    },
  });

const nextFrame = (video, look) =>
  "requestVideoFrameCallback" in video
    ? video.requestVideoFrameCallback(look)
    : window.setTimeout(look, FRAME_MS_MIN);

/** Whether this camera was allowed before, so that scanning may begin without a tap. Never asks. */
export async function isAllowed() {
  try {
    return (await navigator.permissions.query({ name: "camera" })).state === "granted";
  } catch {
    return false;
  }
}

/**
 * Shows the camera in `video` and calls `onText` with each barcode's text; not twice with the same one within
 * three seconds. It stops by itself after a read, unless `onText` returns false ("not what I want, go on").
 * `onTrouble` hears "refused", "absent", "busy", "lost" or "insecure". Resolves once the camera runs or is
 * in trouble, and never rejects; `torch` is null where there is none, else `torch(isOn)`.
 */
export async function openCamera(video, { formats, former = [], onText, onTrouble, signal }) {
  let stream = null;
  let isOver = false;
  let wish = remembered();
  let attempt = 0;

  const release = () => {
    attempt += 1; // An answer that is still to come is nobody's any more.
    const tracks = stream?.getTracks() ?? [];
    stream = null;
    for (const track of tracks) track.stop();
    video.srcObject = null;
  };
  const stop = () => {
    isOver = true;
    release();
    document.removeEventListener("visibilitychange", comeOrGo);
  };
  const trouble = (kind) => {
    if (isOver) return;
    stop();
    onTrouble(kind);
  };

  const look = async (mine) => {
    if (isOver || stream !== mine) return;
    const began = performance.now();
    let text = null;
    let pauseMs = FRAME_MS_MIN;
    try {
      text = await decodeFrame(video, formats, former);
    } catch {
      // The decoder could not be loaded and is fetched again with the next picture, if there was one.
      if (video.readyState >= video.HAVE_CURRENT_DATA) pauseMs = TROUBLE_MS;
    }
    if (isOver || stream !== mine) return;
    if (text !== null && isFresh(text) && onText(text) !== false) {
      stop();
      return;
    }
    const rest = Math.max(0, pauseMs - (performance.now() - began));
    window.setTimeout(() => nextFrame(video, () => look(mine)), rest);
  };

  const start = async () => {
    const mine = ++attempt;
    let given;
    try {
      given = await request(wish).catch((error) => {
        // The chosen camera is not plugged in today: any other will do.
        if (!wish || kindOf(error) !== "absent") throw error;
        wish = null;
        return request(null);
      });
    } catch (error) {
      const kind = kindOf(error);
      wasRefused = kind === "refused";
      if (mine === attempt) trouble(kind);
      return;
    }
    if (mine !== attempt || document.hidden) {
      for (const track of given.getTracks()) track.stop();
      return;
    }
    stream = given;
    const [track] = given.getVideoTracks();
    track.addEventListener("ended", () => stream === given && trouble("lost"));
    video.muted = true;
    video.playsInline = true;
    video.srcObject = given;
    video.play().catch(() => {}); // Stopped meanwhile; `look` sees it.
    nextFrame(video, () => look(given));
  };

  // Nobody leaves a camera running in a pocket; whoever comes back finds it again.
  function comeOrGo() {
    if (document.hidden) release();
    else if (!stream && !isOver) start();
  }

  const opened = {
    stop,
    get torch() {
      const [track] = stream?.getVideoTracks() ?? [];
      if (!track?.getCapabilities?.().torch) return null;
      return (isOn) => track.applyConstraints({ advanced: [{ torch: isOn }] });
    },
    /** The cameras of this device as {id, label, isChosen}; labels are known once one was allowed. */
    async cameras() {
      const running = stream?.getVideoTracks()[0]?.getSettings().deviceId;
      const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
      return devices
        .filter((device) => device.kind === "videoinput")
        .map(({ deviceId, label }) => ({ id: deviceId, label, isChosen: deviceId === running }));
    },
    /** Goes over to another camera, and remembers it on this device. */
    async choose(id) {
      wish = id;
      try {
        localStorage.setItem(CHOSEN, id);
      } catch {
        // A browser that keeps nothing: chosen for this visit.
      }
      release();
      if (!isOver) await start();
    },
  };

  if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) {
    trouble("insecure");
  } else if (!(await mayAsk())) {
    trouble("refused");
  } else if (!signal?.aborted) {
    signal?.addEventListener("abort", stop, { once: true });
    document.addEventListener("visibilitychange", comeOrGo);
    await start();
  }
  return opened;
}
