// Passkeys: keys of a device or a password manager, unlocked by the person. The browser and the store speak JSON.
import { post, session } from "./api.js";

export const arePossible = () => Boolean(window.PublicKeyCredential?.parseRequestOptionsFromJSON);

// Both give what the browser made as text; null where the person thought better.
export const create = (options) => asked(() => navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(options)) }));

export async function sign() {
  const { options } = await post("/v1/passkeys:begin");
  return asked(() => navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(options)) }));
}

export async function signIn() {
  const credential = await sign();
  if (credential) await session.usePasskey(credential);
}

async function asked(browser) {
  try {
    return JSON.stringify(await browser());
  } catch (error) {
    if (error.name === "InvalidStateError") throw { detail: "That device holds a passkey of this account already." };
    if (["NotAllowedError", "AbortError"].includes(error.name)) return null;
    throw error;
  }
}
