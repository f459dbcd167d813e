// A person's businesses: each with its application, its documents and its people; and the way to begin another one.
import { list, patch, post } from "./api.js";
import { KINDS, ROLES, STATES, documents, review } from "./business.js";
import { Desk, renewed } from "./desk.js";
import { card, field, form, h, problem, when } from "./dom.js";
import { hear } from "./facts.js";
import { people } from "./trade-people.js";
import { upload } from "./trade-upload.js";

const EDITABLE = ["DRAFT", "NEEDS_INFO", "REFUSED", "APPROVED"];
const REACHES = { VIEWER: 1, MANAGER: 2, OWNER: 3 };
const FOLLOWS = {
  DRAFT: () => "Fill it in, add what shows that the business exists, and hand it in.",
  SUBMITTED: ({ submitTime }) => ["With us since ", when(submitTime), ". We look at it and mail you."],
  NEEDS_INFO: () => "We need more before we can decide. Add it and hand it in again.",
  APPROVED: () => "Approved: you may trade with us.",
  REFUSED: () => "We cannot approve it as it is. Mend it and hand it in again, if you like.",
  SUSPENDED: () => "You may not trade with us for the time being.",
};

class TradeDesk extends Desk {
  own({ user, roles }) {
    const place = h("div", { class: "stack" });
    const said = h("div", { class: "said", role: "status" });
    const show = renewed(place, (one) => application(one, look), h("p", { class: "note" }, "You have not begun an application."));
    const look = hear("rapport.identity.v1.Business", async () => {
      try {
        show(await list(`/v1/${user}/businesses`, "businesses"));
      } catch (error) {
        said.replaceChildren(problem(error));
      }
    });
    look();
    return [
      roles.includes("admin") && h("p", {}, h("a", { href: "/review" }, "Review the applications of others")),
      h("h2", {}, "Your businesses"), said, place, h("h2", {}, "Another one"), begin(look),
    ].filter(Boolean);
  }
}

function begin(look) {
  const element = form([h("div", { class: "fields" },
    field("Legal name of the company", { name: "company", required: true, maxlength: 200, autocomplete: "organization" }),
    field("What are you?", { tag: "select", name: "kind", options: Object.entries(KINDS) })),
  ], "Begin an application", async (given, key) => {
    await post("/v1/businesses", { business: given }, key);
    element.reset();
    await look();
    return "Begun. Go on above.";
  });
  return h("div", { class: "card" }, element);
}

function application(business, look) {
  const may = (role) => REACHES[business.role] >= REACHES[role];
  const isOpen = EDITABLE.includes(business.state);
  const details = may("MANAGER") && isOpen && said(business, look);
  const place = card(business.company,
    h("div", { class: "row" }, h("span", {}, KINDS[business.kind], " · ", `you are ${ROLES[business.role].toLowerCase()}`), h("span", { class: `badge state ${business.state.toLowerCase()}` }, STATES[business.state])),
    h("p", {}, FOLLOWS[business.state](business)), ...review(business).filter(Boolean),
    details ? h("details", { class: "answer", open: business.state !== "APPROVED" }, h("summary", {}, "About the business"), details.element) : shown(business),
    papers(business, may("MANAGER") && isOpen),
    may("OWNER") && steps(business, details, look),
    people(business, look));
  return place;
}

// What the business says of itself, to be corrected.
function said(business, look) {
  const [contact = {}, ...others] = business.contacts;
  const again = business.state === "APPROVED" ? "Changing it has us look at your business again." : "";
  const kind = field("What are you?", { tag: "select", name: "kind", options: Object.entries(KINDS) });
  kind.querySelector("select").value = business.kind;
  const save = async (given) => {
    const { contactName: name, contactEmail: email, contactPhone: phone, ...rest } = given;
    rest.regionCode = rest.regionCode.toUpperCase();
    return patch(`/v1/${business.name}`, { ...rest, contacts: name ? [{ name, email, phone }, ...others] : others }, business.etag);
  };
  const element = form([h("div", { class: "fields" },
    field("Legal name of the company", { name: "company", value: business.company, required: true, maxlength: 200, autocomplete: "organization" }, again),
    kind,
    field("Country", { name: "regionCode", value: business.regionCode, pattern: "[A-Za-z]{2}", maxlength: 2, autocomplete: "country" }, "Two letters, such as US."),
    field("Tax id", { name: "taxId", value: business.taxId, maxlength: 40 }, again),
    field("Website", { name: "website", type: "url", value: business.website, maxlength: 500, autocomplete: "url" })),
    h("fieldset", {}, h("legend", {}, "Whom we may ask"), h("div", { class: "fields" },
      field("Name", { name: "contactName", value: contact.name, maxlength: 100, autocomplete: "name" }),
      field("E-mail", { name: "contactEmail", type: "email", value: contact.email, maxlength: 254, autocomplete: "email" }),
      field("Phone", { name: "contactPhone", type: "tel", value: contact.phone, maxlength: 40, autocomplete: "tel" }))),
  ], "Save", async (given) => {
    await save(given);
    await look();
    return "Saved.";
  }, { class: "quiet" });
  return { element, save: () => save(Object.fromEntries(new FormData(element))), isWhole: () => element.reportValidity() };
}

function shown({ regionCode, taxId, website, contacts }) {
  const parts = [["Country", regionCode], ["Tax id", taxId], ["Website", website], ["Contact", contacts.map((one) => [one.name, one.email, one.phone].filter(Boolean).join(", ")).join("; ")]];
  return h("dl", { class: "held" }, parts.filter(([, text]) => text).map(([label, text]) => h("div", {}, h("dt", {}, label), h("dd", {}, text))));
}

function papers(business, mayAdd) {
  const held = documents(business, mayAdd && business.state !== "APPROVED" ? (one) => held.remover(one) : undefined);
  const adder = mayAdd && upload(business, held);
  return h("details", { class: "answer", open: mayAdd && business.state !== "APPROVED" }, h("summary", {}, "Documents"), held.element, adder);
}

// What an owner does with the application as a whole.
function steps({ name, state }, details, look) {
  const handIn = ["DRAFT", "NEEDS_INFO", "REFUSED"].includes(state) && form([], "Hand it in", async () => {
    if (!details.isWhole()) return;
    await details.save();
    await post(`/v1/${name}:submit`);
    await look();
  });
  const takeBack = ["SUBMITTED", "NEEDS_INFO"].includes(state) && form([], "Take it back", async () => {
    await post(`/v1/${name}:withdraw`);
    await look();
  }, { class: "quiet" });
  return (handIn || takeBack) && h("div", { class: "steps" }, handIn, takeBack);
}

customElements.define("trade-desk", TradeDesk);
