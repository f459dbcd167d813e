// The queue of applications, for who decides about them.
import { get, list, post } from "./api.js";
import { KINDS, REASONS, STATES, documents, review } from "./business.js";
import { Desk, renewed } from "./desk.js";
import { field, form, h, problem, when, words } from "./dom.js";

const FILTERS = [["SUBMITTED", "Waiting for us"], ["NEEDS_INFO", "Waiting for the applicant"], ["APPROVED", "Approved"], ["REFUSED", "Not approved"], ["SUSPENDED", "Suspended"]];

class ReviewDesk extends Desk {
  own({ roles }) {
    if (!roles.includes("admin")) return [h("p", { class: "note" }, "Only administrators of the store review applications.")];
    const rows = h("div", { class: "card" });
    const said = h("div", { class: "said", role: "status" });
    const filter = field("Show", { tag: "select", name: "state", options: FILTERS, onchange: () => look() });
    const done = async (text) => {
      await look();
      said.replaceChildren(h("p", { class: "done" }, text));
      this.heading.focus(); // what had the focus is gone with what was decided
    };
    const show = renewed(rows, (one) => entry(one, done), h("p", { class: "note" }, "There are none."));
    const look = async () => {
      said.replaceChildren();
      try {
        show(await list(`/v1/businesses?state=${filter.querySelector("select").value}&`, "businesses"));
      } catch (error) {
        said.replaceChildren(problem(error));
      }
    };
    look();
    this.heading = h("h2", { tabindex: "-1" }, "Longest waiting first");
    return [this.heading, h("div", { class: "filter" }, filter), said, rows];
  }
}

function entry(business, done) {
  const body = h("div", { class: "stack" });
  const since = business.submitTime ? when(business.submitTime) : when(business.createTime);
  return h("details", { class: "answer", ontoggle: ({ target }) => target.open && !body.childElementCount && fill(body, business, done) },
    h("summary", {}, h("span", {}, business.company, h("span", { class: "summary" }, KINDS[business.kind], " · ", since)), h("span", { class: `badge state ${business.state.toLowerCase()}` }, STATES[business.state])),
    body);
}

async function fill(body, { name }, done) {
  try {
    // As it is now, with its etag: what is decided is about what is seen here.
    const business = await get(`/v1/${name}`);
    const [{ members }, { steps }] = await Promise.all([get(`/v1/${name}/members`), get(`/v1/${name}/steps`)]);
    body.replaceChildren(said(business, members), h("h3", {}, "Documents"), documents(business).element,
      h("h3", {}, "So far"), history(business, steps), decisions(business, done));
  } catch (error) {
    body.replaceChildren(problem(error));
  }
}

function said(business, members) {
  const contacts = business.contacts.map((one) => [one.name, one.email, one.phone].filter(Boolean).join(", ")).join("; ");
  const parts = [["Country", business.regionCode], ["Tax id", business.taxId],
    ["Website", business.website && h("a", { href: business.website, rel: "noopener noreferrer nofollow", target: "_blank" }, business.website)],
    ["Contact", contacts], ["People", members.map((one) => `${one.displayName || one.email} (${one.role.toLowerCase()})`).join(", ")]];
  return h("dl", { class: "held" }, parts.filter(([, text]) => text).map(([label, text]) => h("div", {}, h("dt", {}, label), h("dd", {}, text))));
}

function history(business, steps) {
  return h("div", {},
    h("ul", { class: "rows" }, steps.map((one) => h("li", { class: "row" }, h("span", {}, `${words(one.stateBefore)} → ${words(one.state).toLowerCase()}`), h("small", {}, when(one.createTime))))),
    ...review(business).filter(Boolean));
}

const text = (label, required) => field(label, { tag: "textarea", name: "text", required, maxlength: 2000 }, "The owners get this by mail.");

// Each decision that the state allows, in a form of its own.
function decisions(business, done) {
  const decide = (verb, told, body = (given) => given) => async (given) => {
    await post(`/v1/${business.name}:${verb}`, { etag: business.etag, ...body(given) });
    await done(`${business.company}: ${told}. The owners are told by mail.`);
  };
  const of = (title, ...children) => h("section", { class: "decision", "aria-label": title }, h("h4", {}, title), ...children);
  const approve = () => of("Approve", h("p", { class: "note" }, "The business may trade from now on."), form([], "Approve", decide("approve", "approved")));
  const ask = () => of("Ask for more", form([text("What is missing?", true)], "Ask", decide("requestInfo", "asked for more"), { class: "quiet" }));
  const refuse = () => of("Refuse", form([
    h("fieldset", {}, h("legend", {}, "Why?"), Object.entries(REASONS).map(([name, words]) => h("label", { class: "check" }, h("input", { type: "checkbox", name }), words))),
    text("In your words", false),
  ], "Refuse", decide("refuse", "not approved", (given) => ({ text: given.text, reasons: Object.keys(REASONS).filter((one) => given[one]) })), { class: "danger" }));
  const suspend = () => of("Suspend", form([text("Why?", true)], "Suspend", decide("suspend", "suspended"), { class: "danger" }));
  const reinstate = () => of("Reinstate", form([], "Reinstate", decide("reinstate", "approved again")));
  const open = { SUBMITTED: [approve, ask, refuse], NEEDS_INFO: [refuse], APPROVED: [suspend], SUSPENDED: [reinstate] }[business.state] ?? [];
  return h("div", { class: "cards decisions" }, open.map((one) => one()));
}

customElements.define("review-desk", ReviewDesk);
