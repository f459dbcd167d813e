import { activity } from "./activity.js";
import { get, patch, post, session } from "./api.js";
import { asShown } from "./as-shown.js";
import { card, field, form, h, problem } from "./dom.js";
import { factors } from "./factors.js";
import { listen, stopListening } from "./facts.js";
import { leaving } from "./goodbye.js";
import { orders } from "./orders.js";
import { payments } from "./payments.js";
import { points } from "./points.js";
import { address as mailAddress, apps, password, sessions, visits } from "./security.js";
import { signIn } from "./sign-in.js";
import { ways } from "./social.js";
import { stillRight } from "./still-right.js";
import { tickets } from "./tickets.js";

// Everything a person sees of their own account, or the two forms that lead to one.
class AccountArea extends HTMLElement {
  connectedCallback() {
    document.addEventListener("session", () => this.show());
    // Only who came with a cookie can be signed in.
    if (this.hasAttribute("signed-in")) session.load().then(() => session.current || this.show(), (error) => this.replaceChildren(problem(error)));
    else this.show();
  }

  show() {
    const hadFocus = this.contains(document.activeElement);
    stopListening();
    this.replaceChildren(session.current ? own(session.current) : h("div", { class: "cards" }, signIn(), register()));
    if (session.current) listen();
    const notice = document.getElementById("account-notice");
    notice.textContent = session.current ? "You are signed in." : this.wasIn ? "You are signed out." : "";
    this.wasIn = Boolean(session.current);
    if (hadFocus) document.getElementById("account-title").focus();
  }
}

function own({ user }) {
  return h("div", { class: "stack" },
    leaving(user),
    stillRight(user),
    h("div", { class: "columns" }, h("div", { class: "stack" }, orders(user), tickets(user)), points(user)),
    h("div", { class: "columns" }, h("div", { class: "stack" }, profile(user), mailAddress(user), password(user), ways(user), payments(user)), h("div", { class: "stack" }, sessions(user), factors(user), apps(user), visits(user), activity(user))));
}

function register() {
  return card("New here?", form([
    field("E-mail", { type: "email", name: "email", required: true, autocomplete: "email", maxlength: 254 },
      "We mail you a link to choose a password."),
  ], "Register", async ({ email }, key) => {
    await post("/v1/registrations:begin", { email }, key);
    return "Open the mail we sent you to go on.";
  }));
}

function profile(user) {
  const place = card("Profile");
  place.id = "profile";
  get(`/v1/${user}`).then((me) => place.append(profileForm(me))).catch((error) => place.append(problem(error)));
  return place;
}

function profileForm(me) {
  const kinds = [["", "No business"], ["WHOLESALER", "Wholesaler"], ["DROPSHIPPER", "Dropshipper"], ["AFFILIATE", "Affiliate"]];
  const kind = field("Kind", { tag: "select", name: "kind", options: kinds });
  kind.querySelector("select").value = me.business?.kind || "";
  return form([
    h("p", { class: "note" }, me.email),
    field("Name", { name: "displayName", value: me.displayName, autocomplete: "name", maxlength: 100 }),
    h("details", { class: "answer" }, h("summary", {}, "Shipping address"), address("shipping", me.shippingAddress ?? {})),
    h("details", { class: "answer" }, h("summary", {}, "Billing address"), address("billing", me.billingAddress ?? {})),
    h("details", { class: "answer" }, h("summary", {}, "Business"), kind,
      field("Company", { name: "company", value: me.business?.company, maxlength: 200, autocomplete: "organization" }),
      field("Website", { name: "website", type: "url", value: me.business?.website, maxlength: 500 })),
  ], "Save", async (given) => {
    const changed = { displayName: given.displayName };
    for (const use of ["shipping", "billing"]) {
      if (given[`${use}-lines`]) changed[`${use}Address`] = addressOf(use, given);
    }
    if (given.kind) changed.business = { kind: given.kind, company: given.company, website: given.website };
    me = await asShown(me, (etag) => patch(`/v1/${me.name}`, changed, etag));
    return "Saved.";
  });
}

function address(use, { recipient, lines = [], postalCode, city, regionCode }) {
  const one = (label, name, value, complete, most, hint) =>
    field(label, { name: `${use}-${name}`, value, maxlength: most, autocomplete: `${use} ${complete}`, pattern: name === "regionCode" ? "[A-Za-z]{2}" : null }, hint);
  return [
    one("Recipient", "recipient", recipient, "name", 100),
    one("Street and number", "lines", lines[0], "address-line1", 200),
    one("Postal code", "postalCode", postalCode, "postal-code", 20),
    one("City", "city", city, "address-level2", 100),
    one("Country", "regionCode", regionCode, "country", 2, "Two letters, such as US."),
  ];
}

function addressOf(use, given) {
  const of = (name) => given[`${use}-${name}`];
  return { recipient: of("recipient"), lines: [of("lines")], postalCode: of("postalCode"), city: of("city"), regionCode: of("regionCode").toUpperCase() };
}

customElements.define("account-area", AccountArea);
