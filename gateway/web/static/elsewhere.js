// The form that leads to Google or Facebook, as the server laid it out with the token that it needs: kept here, and copied to
// where it is wanted. Null where the store has no such thing.
const given = document.getElementById("social");
given?.remove();
given?.removeAttribute("id");

export function socialForm({ only, alone } = {}) {
  const copy = given?.cloneNode(true);
  if (alone) copy?.querySelector(".or").remove();
  for (const button of copy?.querySelectorAll("button") ?? []) {
    if (only && !only.includes(button.dataset.provider)) button.remove();
  }
  return copy?.querySelector("button") ? copy : null;
}
