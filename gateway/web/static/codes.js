// Codes: of an app, six digits, or from paper. One field takes either.
import { session } from "./api.js";
import { card, field, form, h } from "./dom.js";

export function codeField() {
  return field("Code", { name: "code", required: true, maxlength: 50, autocomplete: "one-time-code", autocapitalize: "none", spellcheck: "false" },
    "The six digits your app shows, or one of your recovery codes.");
}

export function proofOf(typed) {
  const bare = typed.replaceAll(/\s/g, "");
  return /^\d{6}$/.test(bare) ? { code: bare } : { recoveryCode: typed };
}

// What stands in the place of the form for address and password, until the code is right or `restart` is wanted.
export function secondStep({ challenge }, restart) {
  const trust = h("label", { class: "check" }, h("input", { type: "checkbox", name: "trust" }), "Do not ask here for 30 days");
  const place = card("One more step", form([codeField(), trust], "Go on", async ({ code, trust: trusted }) => {
    try {
      await session.goOn(challenge, proofOf(code), trusted === "on");
    } catch (error) {
      if (error.reason === "CHALLENGE_ENDED") restart(error);
      else throw error;
    }
  }, { beside: h("button", { class: "quiet", type: "button", onclick: () => restart() }, "Back") }));
  place.id = "second-step";
  return place;
}
