import { get, post, session } from "./api.js";
import { field, form, h } from "./dom.js";

class NewsletterForm extends HTMLElement {
  connectedCallback() {
    this.show();
    document.addEventListener("session", () => this.show());
  }

  async show() {
    if (session.current) {
      try {
        const told = await get(`/v1/${session.current.user}/subscription`);
        if (told.state === "CONFIRMED") {
          this.replaceChildren(h("p", { class: "done" }, "You are subscribed. Thank you!"));
          return;
        }
      } catch (error) {
        if (error.status !== 404) throw error;
      }
    }
    this.replaceChildren(form(
      [field("Your e-mail address", { type: "email", name: "email", required: true, autocomplete: "email", maxlength: 254 })],
      "Subscribe",
      async ({ email }) => {
        await post("/v1/subscriptions:begin", { email });
        return "Almost done: open the mail we sent you and confirm.";
      },
    ));
  }
}

customElements.define("newsletter-form", NewsletterForm);
