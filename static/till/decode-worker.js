// Looks for a barcode in a picture, beside the page's own thread. A classic worker: the library comes as one
// script. Only this file's answer allows wasm (script-src 'wasm-unsafe-eval'); no page does.

importScripts("/static/vendor/zxing-wasm-3.1.4-reader.js");

const FORMATS = {
  qr: "QRCode", aztec: "Aztec", pdf417: "PDF417", code128: "Code128",
  ean13: "EAN13", ean8: "EAN8", upca: "UPCA", code39: "Code39", itf: "ITF", codabar: "Codabar",
};
// Bars are only found when they run nearly across or along the picture; square symbols at any angle.
const SQUARE = new Set(["QRCode", "Aztec"]);
// Two neighbours overlap: bars that are some six times as wide as high may slant by eight degrees.
const TURNS = [15, -15, 30, -30, 45, -45];
const TURNING_MS = 60; // A quick device looks at all of them in each picture, a slow one in a few pictures.
const PHOTO_SIDES = [1600, 3200]; // A photo of twelve megapixels is mostly table: small first.

ZXingWASM.prepareZXingModule({
  overrides: { locateFile: () => "/static/vendor/zxing-wasm-3.1.4-reader.wasm" },
  fireImmediately: true,
}).catch(() => {}); // Each picture that needs it hears of it.

const canvas = new OffscreenCanvas(1, 1);
const context = canvas.getContext("2d", { willReadFrequently: true });

const find = async (bitmap, { formats, side = Infinity, turn = 0 }) => {
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.round(bitmap.width * scale);
  canvas.height = Math.round(bitmap.height * scale);
  if (turn) {
    context.translate(canvas.width / 2, canvas.height / 2);
    context.rotate((turn * Math.PI) / 180);
    context.translate(-canvas.width / 2, -canvas.height / 2);
  }
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  const found = await ZXingWASM.readBarcodes(pixels, {
    formats, tryHarder: true, maxNumberOfSymbols: 1, textMode: "Plain",
  });
  const symbol = found.find((one) => one.isValid);
  return symbol ? asPrinted(symbol.text, formats) : null;
};

// What stands below the bars: of the twelve digits of a UPC-A readers make an EAN-13 that begins with 0.
const asPrinted = (text, formats) => (formats.includes("UPCA") && /^0\d{12}$/.test(text) ? text.slice(1) : text);

let turned = 0;
const barsAmong = (formats) => formats.filter((format) => !SQUARE.has(format));

const ownInFrame = async (bitmap, formats) => {
  const text = await find(bitmap, { formats });
  const upright = barsAmong(formats);
  if (text !== null || !upright.length) return text;
  const began = performance.now();
  for (let tries = 0; tries < TURNS.length && performance.now() - began < TURNING_MS; tries += 1) {
    const slanted = await find(bitmap, { formats: upright, turn: TURNS[turned++ % TURNS.length] });
    if (slanted === null) continue;
    turned -= 1; // The next card will be held the same way.
    return slanted;
  }
  return null;
};

// Cards of a former system: only in pictures without one of ours, whose reading they must not slow down.
// Their bars often have no check sum, so that a blur is soon misread: what two pictures agree on counts.
const LETTERS_MIN = 4;
let seenOnce = null;

const formerInFrame = async (bitmap, formats) => {
  const text = (await find(bitmap, { formats })) ?? (await find(bitmap, { formats, turn: TURNS[turned++ % TURNS.length] }));
  if (text === null || text.length < LETTERS_MIN) return null;
  const isAgreed = text === seenOnce;
  seenOnce = isAgreed ? null : text;
  return isAgreed ? text : null;
};

const inFrame = async (bitmap, formats, former) => {
  const text = await ownInFrame(bitmap, formats);
  return text === null && former.length ? formerInFrame(bitmap, former) : text;
};

const inPhoto = async (bitmap, formats) => {
  const upright = barsAmong(formats);
  for (const side of PHOTO_SIDES) {
    const text = await find(bitmap, { formats, side });
    if (text !== null) return text;
    for (const turn of upright.length ? TURNS : []) {
      const slanted = await find(bitmap, { formats: upright, side, turn });
      if (slanted !== null) return slanted;
    }
    if (Math.max(bitmap.width, bitmap.height) <= side) break;
  }
  return null;
};

self.addEventListener("message", async ({ data }) => {
  const { id, bitmap, isPhoto } = data;
  try {
    const formats = data.formats.map((format) => FORMATS[format]);
    const former = data.former.map((format) => FORMATS[format]).filter((format) => !formats.includes(format));
    const text = isPhoto ? await inPhoto(bitmap, [...formats, ...former]) : await inFrame(bitmap, formats, former);
    self.postMessage({ id, text });
  } catch (error) {
    self.postMessage({ id, trouble: String(error) });
  } finally {
    bitmap?.close();
  }
});
