// Where people sign in: by a mail and a password with a code after them, by a passkey, or by an account elsewhere.
import { session } from "./api.js";
import { secondStep } from "./codes.js";
import { card, field, form, h, problem } from "./dom.js";
import { socialForm } from "./elsewhere.js";
import { arePossible, signIn as signInByPasskey } from "./passkeys.js";

export function signIn(why) {
  const place = card("Sign in", why && problem(why), form([
    field("E-mail", { type: "email", name: "email", required: true, autocomplete: "username", maxlength: 254 }),
    field("Password", { type: "password", name: "password", required: true, autocomplete: "current-password", maxlength: 128 }),
  ], "Sign in", async ({ email, password }) => {
    const missing = await session.signIn(email, password);
    if (missing) swap(place, secondStep(missing, (ended) => swap(document.getElementById("second-step"), signIn(ended))));
  }), arePossible() && form([], "Sign in with a passkey", signInByPasskey, { class: "quiet" }), socialForm(), h("p", { class: "hint" }, h("a", { href: "/forgot" }, "Forgot your password?")));
  return place;
}

// One card in the place of another, with the focus in its first field.
function swap(before, after) {
  before.replaceWith(after);
  after.querySelector("input").focus();
}
