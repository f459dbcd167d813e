import { get, post, session } from "./api.js";
import { closer, dialog, field, form, h } from "./dom.js";
import { socialForm } from "./elsewhere.js";

// Does it, after asking for the password again where the sign-in is too old for it; null where the person thought better.
// Who has no password signs in again with the account elsewhere, and comes back to do it then.
export async function recently(action) {
  try {
    return await action();
  } catch (error) {
    if (error.reason !== "SIGN_IN_TOO_OLD") throw error;
  }
  const { user } = session.current;
  const [{ email }, { hasPassword, externalIdentities }] = await Promise.all([get(`/v1/${user}`), get(`/v1/${user}/externalIdentities`)]);
  return new Promise((resolve, reject) => {
    const elsewhere = externalIdentities.length ? socialForm({ only: externalIdentities.map((one) => one.provider), alone: !hasPassword }) : null;
    const box = dialog("Is it you?", hasPassword ? form([
      field("Password", { type: "password", name: "password", required: true, autocomplete: "current-password", maxlength: 128 }),
    ], "Go on", async ({ password }) => {
      // The same person in a newer session: nothing on the page changes hands.
      session.current = await post("/session", { email, password });
      action().then(resolve, reject).finally(() => box.close());
    }, { beside: closer("Cancel") }) : h("p", {}, "Sign in once more, and then do it again."), elsewhere,
    !hasPassword && h("div", { class: "actions" }, closer("Cancel")));
    box.addEventListener("close", () => resolve(null));
  });
}
