// The page's side of decode-worker.js: pictures go there, texts come back.
// `formats` are a programme's symbologies: "qr", "aztec", "pdf417", "code128"; `former` what cards of a former
// system may be printed in.

let worker = null;
let lastId = 0;
const asked = new Map();

// What could not be loaded stays so in its worker. The next picture gets a new one: the network may be back.
const failed = (why) => {
  worker?.terminate();
  worker = null;
  for (const { reject } of asked.values()) reject(new Error(why));
  asked.clear();
};

const started = () => {
  if (worker) return worker;
  worker = new Worker(new URL("decode-worker.js", import.meta.url));
  worker.addEventListener("error", () => failed("the decoder did not start"));
  worker.addEventListener("message", ({ data }) => {
    if (data.trouble) {
      failed(data.trouble);
      return;
    }
    asked.get(data.id)?.resolve(data.text);
    asked.delete(data.id);
  });
  return worker;
};

const ask = (bitmap, rest) =>
  new Promise((resolve, reject) => {
    const id = ++lastId;
    const decoder = started();
    asked.set(id, { resolve, reject });
    decoder.postMessage({ id, bitmap, ...rest }, [bitmap]);
  });

/** Loads the decoder before it is needed. */
export function warmUp() {
  started();
}

/** The text in a photo or screenshot, or null where no such barcode is found or it is no picture. */
export async function decodeImage(blob, formats, former = []) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    return null;
  }
  return ask(bitmap, { formats, former, isPhoto: true });
}

/** The text in what a video shows just now, or null. */
export async function decodeFrame(video, formats, former = []) {
  return ask(await createImageBitmap(video), { formats, former });
}
