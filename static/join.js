// The name appears on the card while it is typed.

const field = document.querySelector("#name");
const shown = document.querySelector("[data-live=name] bdi");
if (field && shown) {
  const before = field.value ? "" : shown.textContent;
  field.addEventListener("input", () => {
    shown.textContent = field.value.trim() || before;
  });
}
