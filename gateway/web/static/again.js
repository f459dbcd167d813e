import { get, session } from "./api.js";
import { codeField, proofOf } from "./codes.js";
import { closer, dialog, field, form } from "./dom.js";

// Does it, after asking who it is again where the sign-in is too old for it: for a code where the account has an app that
// shows some, else for the password. Null where the person thought better.
export async function recently(action) {
  try {
    return await action();
  } catch (error) {
    if (error.reason !== "SIGN_IN_TOO_OLD") throw error;
  }
  const { factors } = await get(`/v1/${session.current.user}/factors`);
  const asked = factors.length ? codeField()
    : field("Password", { type: "password", name: "password", required: true, autocomplete: "current-password", maxlength: 128 });
  return new Promise((resolve, reject) => {
    const box = dialog("Is it you?", form([asked], "Go on", async ({ code, password }) => {
      await session.proveAgain(code === undefined ? { password } : proofOf(code));
      action().then(resolve, reject).finally(() => box.close());
    }, { beside: closer("Cancel") }));
    box.addEventListener("close", () => resolve(null));
  });
}
