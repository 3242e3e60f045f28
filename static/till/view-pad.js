// Big keys for a field: digits, the decimal sign, one back. The field keeps working with a real keyboard.

import { say } from "./view-words.js";

/** Fill `root` with keys that type into `field`; `sign` is the decimal sign, or "" for none. */
export function keypad(root, field, sign = "") {
  const keys = ["1", "2", "3", "4", "5", "6", "7", "8", "9", sign, "0", "back"];
  for (const key of keys) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "key";
    if (key === "") {
      button.disabled = true;
      button.classList.add("blank");
      button.setAttribute("aria-hidden", "true");
    } else if (key === "back") {
      button.setAttribute("aria-label", say("key_back"));
      button.innerHTML = '<svg class="icon" aria-hidden="true"><use href="#icon-back"></use></svg>';
    } else {
      button.textContent = key;
      if (key === sign) button.setAttribute("aria-label", say("key_decimal"));
    }
    // A finger on a key must not bring the device's own keyboard up, nor take the focus away from the field.
    button.addEventListener("pointerdown", (event) => event.preventDefault());
    button.addEventListener("click", () => press(field, key));
    root.append(button);
  }
}

function press(field, key) {
  const text = field.value;
  if (key === "back") field.value = [...text].slice(0, -1).join("");
  else if (text.length < field.maxLength) field.value = text + key;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}
