// A card that the demonstration's phone holds to the till: the pixels of its screen take the way of a camera's.

let seen = null;

/**
 * The pixels of the card that the phone at this address began to hold since the last question, else null.
 * Held on, a card is not seen again before the phone let go of it or `letGo` was called.
 */
export async function held(address) {
  const answer = await fetch(`${address}/held.json`, { cache: "no-store" });
  if (answer.status !== 200) {
    seen = null;
    return null;
  }
  const { screen } = await answer.json();
  if (screen === seen) return null;
  const pixels = await fetch(`${address}/held.png`, { cache: "no-store" });
  if (!pixels.ok) return null;
  seen = screen;
  return pixels.blob();
}

/** Forgets what was seen: the card that is held is seen anew at the next question. */
export function letGo() {
  seen = null;
}
