import { get, post, session } from "./api.js";
import { closer, dialog, field, form } from "./dom.js";

// Does it, after asking for the password again where the sign-in is too old for it; null where the person thought better.
export async function recently(action) {
  try {
    return await action();
  } catch (error) {
    if (error.reason !== "SIGN_IN_TOO_OLD") throw error;
  }
  const { email } = await get(`/v1/${session.current.user}`);
  return new Promise((resolve, reject) => {
    const box = dialog("Is it you?", form([
      field("Password", { type: "password", name: "password", required: true, autocomplete: "current-password", maxlength: 128 }),
    ], "Go on", async ({ password }) => {
      // The same person in a newer session: nothing on the page changes hands.
      session.current = await post("/session", { email, password });
      action().then(resolve, reject).finally(() => box.close());
    }, { beside: closer("Cancel") }));
    box.addEventListener("close", () => resolve(null));
  });
}
