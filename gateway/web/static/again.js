import { get, session } from "./api.js";
import { codeField, proofOf } from "./codes.js";
import { closer, dialog, field, form } from "./dom.js";
import { arePossible, sign } from "./passkeys.js";

// Does it, after asking who it is again where the sign-in is too old for it: for a code where the account has an app that
// shows some, else for the password. Null where the person thought better.
export async function recently(action) {
  try {
    return await action();
  } catch (error) {
    if (error.reason !== "SIGN_IN_TOO_OLD") throw error;
  }
  const { factors } = await get(`/v1/${session.current.user}/factors`);
  const asked = factors.some(({ kind }) => kind === "TOTP") ? codeField()
    : field("Password", { type: "password", name: "password", required: true, autocomplete: "current-password", maxlength: 128 });
  return new Promise((resolve, reject) => {
    const go = async (proof) => {
      await session.proveAgain(proof);
      action().then(resolve, reject).finally(() => box.close());
    };
    const byPasskey = arePossible() && factors.some(({ kind }) => kind === "PASSKEY") && form([], "Use a passkey", async () => {
      const passkey = await sign();
      if (passkey) await go({ passkey });
    }, { class: "quiet" });
    const box = dialog("Is it you?", form([asked], "Go on",
      ({ code, password }) => go(code === undefined ? { password } : proofOf(code)), { beside: closer("Cancel") }), byPasskey);
    box.addEventListener("close", () => resolve(null));
  });
}
