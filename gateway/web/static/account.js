import { get, listen, newKey, patch, post, remove, session } from "./api.js";
import { field, form, h, problem, when } from "./dom.js";
import { orders } from "./orders.js";
import { points } from "./points.js";
import { tickets } from "./tickets.js";

// Everything a person sees of their own account, or the two forms that lead to one.
class AccountArea extends HTMLElement {
  connectedCallback() {
    document.addEventListener("session", () => this.show());
    session.load().catch((error) => this.replaceChildren(problem(error)));
  }

  show() {
    this.source?.close();
    if (!session.current) {
      this.replaceChildren(h("div", { class: "cards" }, signIn(), register()));
      return;
    }
    this.source = listen();
    const { user } = session.current;
    this.replaceChildren(h("div", { class: "stack" },
      h("div", { class: "cards" }, points(user), profile(user)),
      orders(user),
      tickets(user),
      sessions(user),
    ));
  }
}

function signIn() {
  return h("section", { class: "card", "aria-labelledby": "sign-in" }, h("h3", { id: "sign-in" }, "Sign in"), form([
    field("E-mail", { type: "email", name: "email", required: true, autocomplete: "username", maxlength: 254 }),
    field("Password", { type: "password", name: "password", required: true, autocomplete: "current-password", maxlength: 128 }),
  ], "Sign in", ({ email, password }) => session.signIn(email, password)));
}

function register() {
  return h("section", { class: "card", "aria-labelledby": "register" }, h("h3", { id: "register" }, "New here?"), form([
    field("E-mail", { type: "email", name: "email", required: true, autocomplete: "email", maxlength: 254 },
      "We mail you a link to choose a password."),
  ], "Register", async ({ email }) => {
    await post("/v1/registrations:begin", { email }, newKey());
    return "Open the mail we sent you to go on.";
  }));
}

function profile(user) {
  const place = h("section", { class: "card", "aria-labelledby": "profile" }, h("h3", { id: "profile" }, "Profile"));
  get(`/v1/${user}`).then((me) => {
    const address = me.shippingAddress ?? {};
    place.append(form([
      h("p", { class: "note" }, me.email),
      field("Name", { name: "displayName", value: me.displayName, autocomplete: "name", maxlength: 100 }),
      h("details", {}, h("summary", {}, "Shipping address"),
        field("Recipient", { name: "recipient", value: address.recipient, maxlength: 100, autocomplete: "shipping name" }),
        field("Street and number", { name: "line", value: address.lines?.[0], maxlength: 200, autocomplete: "shipping street-address" }),
        field("Postal code", { name: "postalCode", value: address.postalCode, maxlength: 20, autocomplete: "shipping postal-code" }),
        field("City", { name: "city", value: address.city, maxlength: 100, autocomplete: "shipping address-level2" }),
        field("Country", { name: "regionCode", value: address.regionCode, maxlength: 2, pattern: "[A-Z]{2}", autocomplete: "shipping country" }, "Two letters, such as US."),
      ),
      h("details", {}, h("summary", {}, "Business"),
        field("Kind", { tag: "select", name: "kind", options: [["", "No business"], ["WHOLESALER", "Wholesaler"], ["DROPSHIPPER", "Dropshipper"], ["AFFILIATE", "Affiliate"]] }),
        field("Company", { name: "company", value: me.business?.company, maxlength: 200, autocomplete: "organization" }),
        field("Website", { name: "website", type: "url", value: me.business?.website, maxlength: 500 }),
      ),
    ], "Save", async (given) => {
      const changed = { displayName: given.displayName };
      if (given.line) {
        changed.shippingAddress = { recipient: given.recipient, lines: [given.line], postalCode: given.postalCode, city: given.city, regionCode: given.regionCode };
      }
      if (given.kind) changed.business = { kind: given.kind, company: given.company, website: given.website };
      me = await patch(`/v1/${user}`, changed, me.etag);
      return "Saved.";
    }), h("p", {}, h("button", { class: "quiet", type: "button", onclick: () => session.signOut() }, "Sign out")));
    place.querySelector("select").value = me.business?.kind ?? "";
  }).catch((error) => place.append(problem(error)));
  return place;
}

function sessions(user) {
  const list = h("div", {});
  const place = h("section", { class: "card", "aria-labelledby": "sessions" },
    h("h3", { id: "sessions" }, "Where you are signed in"), list);
  const show = async () => {
    const { sessions: found } = await get(`/v1/${user}/sessions`);
    list.replaceChildren(...found.map((one) => h("div", { class: "row" },
      h("p", {}, `${one.device || "A device"}, since ${when(one.createTime)} `,
        one.name === session.current?.session && h("span", { class: "badge" }, "this one")),
      one.name !== session.current?.session && h("button", { class: "quiet", onclick: async () => {
        await remove(`/v1/${one.name}`);
        await show();
      } }, "Sign it out"))));
  };
  show().catch((error) => list.replaceChildren(problem(error)));
  return place;
}

customElements.define("account-area", AccountArea);
