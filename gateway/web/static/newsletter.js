import { get, post, session } from "./api.js";
import { field, form, h } from "./dom.js";

class NewsletterForm extends HTMLElement {
  connectedCallback() {
    this.show();
    document.addEventListener("session", () => this.show());
  }

  async show() {
    const person = session.current;
    const [subscribed, email] = person ? await Promise.all([isSubscribed(person.user), addressOf(person.user)]) : [false, ""];
    if (person !== session.current) return; // somebody else is here meanwhile
    this.replaceChildren(subscribed ? h("p", { class: "done" }, "You are subscribed. Thank you!") : form(
      [field("Your e-mail address", { type: "email", name: "email", value: email, required: true, autocomplete: "email", maxlength: 254 })],
      "Subscribe",
      async (given) => {
        await post("/v1/subscriptions:begin", given);
        return "Almost done: open the mail we sent you and confirm.";
      },
      { inline: true },
    ));
  }
}

// Where either cannot be told, the form is there all the same.
const isSubscribed = (user) => get(`/v1/${user}/subscription`).then(({ state }) => state === "CONFIRMED", () => false);
const addressOf = (user) => get(`/v1/${user}`).then(({ email }) => email, () => "");

customElements.define("newsletter-form", NewsletterForm);
