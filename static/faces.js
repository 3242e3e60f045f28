// Other words in one line of a card: a <text data-live> in its window. As large as the window allows, down to
// three fifths of the size, then cut with an ellipsis; from right to left where the first letter wants it.

const LEAST = 0.6;
const LEFTWARDS = /^[^\p{L}]*[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;

export function write(line, words) {
  const room = Number(line.dataset.room);
  const full = Number((line.dataset.size ??= line.getAttribute("font-size")));
  const leftwards = LEFTWARDS.test(words);
  if (leftwards) line.setAttribute("direction", "rtl");
  else line.removeAttribute("direction");
  line.setAttribute("text-anchor", leftwards ? "end" : "start");
  line.setAttribute("font-size", full);
  line.textContent = words;
  const wide = line.getComputedTextLength();
  if (wide <= room) return;
  line.setAttribute("font-size", Math.max(full * LEAST, (full * room) / wide));
  const letters = "Segmenter" in Intl ? [...new Intl.Segmenter().segment(words)].map((one) => one.segment) : [...words];
  while (letters.length && line.getComputedTextLength() > room) {
    letters.pop();
    line.textContent = `${letters.join("").trimEnd()}…`;
  }
}
