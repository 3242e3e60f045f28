// What the keys do, and what is good to know.

import { clone, slots } from "./view-parts.js";
import { leavesByEscape } from "./view-mine.js";
import { go, screen } from "./view-stage.js";

screen("help", () => {
  const node = clone("screen-help");
  slots(node).next.addEventListener("click", () => go("scan"));
  return { node, keys: leavesByEscape };
});
