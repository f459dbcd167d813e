import { get, session } from "./api.js";
import { codeField, proofOf } from "./codes.js";
import { closer, dialog, field, form, h } from "./dom.js";
import { socialForm } from "./elsewhere.js";
import { arePossible, sign } from "./passkeys.js";

// Does it, after asking who it is again where the sign-in is too old for it: for a code where the account has an app that
// shows some, else for the password. Who has neither signs in again with the account elsewhere, and comes back to do it
// then. Null where the person thought better.
export async function recently(action) {
  try {
    return await action();
  } catch (error) {
    if (error.reason !== "SIGN_IN_TOO_OLD") throw error;
  }
  const { user } = session.current;
  const [{ factors }, { hasPassword, externalIdentities }] = await Promise.all([get(`/v1/${user}/factors`), get(`/v1/${user}/externalIdentities`)]);
  const has = (wanted) => factors.some(({ kind }) => kind === wanted);
  const asked = has("TOTP") ? codeField() : hasPassword
    && field("Password", { type: "password", name: "password", required: true, autocomplete: "current-password", maxlength: 128 });
  return new Promise((resolve, reject) => {
    const go = async (proof) => {
      await session.proveAgain(proof);
      action().then(resolve, reject).finally(() => box.close());
    };
    const byPasskey = arePossible() && has("PASSKEY") && form([], "Use a passkey", async () => {
      const passkey = await sign();
      if (passkey) await go({ passkey });
    }, { class: "quiet" });
    const elsewhere = !has("TOTP") && externalIdentities.length ? socialForm({ only: externalIdentities.map((one) => one.provider), alone: !asked }) : null;
    const box = dialog("Is it you?", asked ? form([asked], "Go on",
      ({ code, password }) => go(code === undefined ? { password } : proofOf(code)), { beside: closer("Cancel") })
      : h("p", {}, "Sign in once more, and then do it again."), byPasskey, elsewhere, !asked && h("div", { class: "actions" }, closer("Cancel")));
    box.addEventListener("close", () => resolve(null));
  });
}
