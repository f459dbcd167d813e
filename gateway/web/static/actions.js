// What the links in our mails lead to. The token stands behind the #, so that it reaches no server's log; opening the
// link does nothing by itself, because mail scanners open links too.
import { post, session } from "./api.js";
import { field, form, h } from "./dom.js";

const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
history.replaceState(null, "", location.pathname);

const choosePassword = () => field("Choose a password", { name: "password", type: "password", required: true, minlength: 15, maxlength: 128, autocomplete: "new-password" },
  "At least 15 characters. A few unusual words are strong and easy to remember.");

const toAccount = () => h("p", {}, h("a", { href: "/#account" }, "To your account"));

// The form of a link with what stands below it, or where to ask for another one.
class LinkAction extends HTMLElement {
  again = "/#account";

  connectedCallback() {
    this.replaceChildren(...(token ? [this.form(), this.below()] : [
      h("p", {}, "This address is not whole. Open the link in our mail as it is, or ask for a new one."),
      h("p", {}, h("a", { href: this.again }, "Ask for a new link")),
    ]));
  }

  below() {
    return h("p", { class: "hint" }, "The link has ended? ", h("a", { href: this.again }, "Ask for a new one"), ".");
  }
}

class CompleteRegistration extends LinkAction {
  form() {
    return form([
      field("Your name", { name: "displayName", autocomplete: "name", maxlength: 100 }, "What we call you by, if you like."),
      choosePassword(),
      field("A photo, if you like", { name: "photo", type: "file", accept: "image/jpeg,image/png,image/webp" }, "At most 256 KiB."),
    ], "Create my account", async ({ displayName, password, photo }) => {
      const user = await post("/v1/registrations:complete", { token, displayName, password, photo: await base64(photo) });
      await session.signIn(user.email, password);
      location.assign("/#account");
    });
  }
}

class CompleteRecovery extends LinkAction {
  again = "/forgot";

  form() {
    return form([
      choosePassword(),
    ], "Change my password", async ({ password }) => {
      await post("/v1/recoveries:complete", { token, password });
      return "Your password is changed, and you are signed out everywhere. Sign in with the new one.";
    });
  }
}

class ConfirmEmail extends LinkAction {
  below() {
    return toAccount();
  }

  form() {
    return form([], "Yes, change the address", async () => {
      const { state } = await post("/v1/emailChanges:confirm", { token });
      return state === "CHANGED" ? "Your account has the new address now. Sign in with it from now on." : "Thank you. Now open the link we sent to the other address.";
    });
  }
}

class ConfirmSocial extends LinkAction {
  form() {
    return form([], "Create my account", async () => {
      const { onward } = await post("/social/confirm", { token });
      location.assign(onward);
    });
  }
}

class ConfirmSubscription extends LinkAction {
  again = "/#subscribe";

  below() {
    return toAccount();
  }

  form() {
    return form([], "Confirm my subscription", async () => {
      const told = await post("/v1/subscriptions:confirm", { token });
      return {
        GRANTED: `You are subscribed, and ${told.bonusPoints} R points are yours.`,
        ALREADY_GRANTED: "You are subscribed. You had your welcome points before.",
        CLAIM_WAITING: "You are subscribed. Register with the same address within 30 days to get your R points.",
      }[told.bonus] ?? "You are subscribed.";
    });
  }
}

async function base64(file) {
  if (!file?.size) return "";
  if (file.size > 262_144) throw { detail: "The photo is larger than 256 KiB. Choose a smaller one." };
  const bytes = new Uint8Array(await file.arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

customElements.define("complete-registration", CompleteRegistration);
customElements.define("complete-recovery", CompleteRecovery);
customElements.define("confirm-email", ConfirmEmail);
customElements.define("confirm-social", ConfirmSocial);
customElements.define("confirm-subscription", ConfirmSubscription);
