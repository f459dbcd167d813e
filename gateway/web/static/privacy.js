import { get, list, newKey, post, session } from "./api.js";
import { copy } from "./copy.js";
import { card, h, problem, when } from "./dom.js";
import { goodbye } from "./goodbye.js";
import { CATEGORIES, PURPOSES, named } from "./terms.js";

const USES = [["TARGETED_ADVERTISING", "Targeted advertisements"], ["SITE_STATISTICS", "Statistics about how I use the site"]];

// What we hold, what you agreed to, a copy of it, and an end to it.
class PrivacyCentre extends HTMLElement {
  connectedCallback() {
    this.append(h("div", { class: "stack" }, policy(), dataMap()));
    this.own = h("div", { class: "stack" });
    this.append(this.own);
    document.addEventListener("session", () => this.show());
    this.show();
  }

  show() {
    const user = session.current?.user;
    this.own.replaceChildren(...(user
      ? [copy(user), h("div", { class: "cards" }, consents(user), goodbye(user))]
      : [h("p", { class: "note" }, "Sign in to see what we hold on you and get a copy of it, to choose what we may do, or to delete your account.")]));
  }
}

// Asked for when it is first opened.
function opened(summary, fill) {
  const body = h("div", {});
  return h("details", { class: "answer", ontoggle: async ({ target }) => {
    if (!target.open || body.childElementCount) return;
    try {
      body.replaceChildren(...await fill());
    } catch (error) {
      body.replaceChildren(problem(error));
    }
  } }, h("summary", {}, summary), body);
}

function policy() {
  return card("Privacy policy", opened("Read the policy", async () => {
    const told = await get("/v1/policies/latest");
    return [
      h("div", { class: "policy", tabindex: "0", role: "region", "aria-label": "Privacy policy" }, told.body),
      h("p", { class: "hint" }, `Version ${told.name.split("/")[1]}, in force since `, when(told.publishTime)),
    ];
  }));
}

function dataMap() {
  return card("What we hold on people", opened("Show every kind of data", async () => {
    const { holders } = await get("/v1/dataMap");
    const kinds = new Map();
    for (const { holder, holdings } of holders) {
      for (const one of holdings) {
        const key = [one.category, one.purpose, one.retention].join();
        if (!kinds.has(key)) kinds.set(key, { ...one, told: new Set(), held: new Set() });
        kinds.get(key).held.add(holder.split("/")[1]);
        for (const party of one.disclosedTo) kinds.get(key).told.add(party);
      }
    }
    return [h("dl", { class: "kinds" }, [...kinds.values()].sort((a, b) => a.category.localeCompare(b.category)).map(kind))];
  }));
}

function kind({ category, purpose, retention, told, held }) {
  const parts = [["For", named(PURPOSES, purpose)], ["Kept", retention], ["Told to", [...told].join(", ") || "nobody"], ["Held by", [...held].join(", ")]];
  return h("div", {}, h("dt", {}, named(CATEGORIES, category)), parts.map(([label, text]) => h("dd", {}, h("span", {}, label), " ", text)));
}

function consents(user) {
  const body = h("div", {}, h("p", { class: "note" }, "Loading…"));
  const said = h("div", { class: "said", role: "status" });
  const load = async () => {
    const [found, { name: policyName }] = await Promise.all([list(`/v1/${user}/consents`, "consents"), get("/v1/policies/latest")]);
    body.replaceChildren(...USES.map(([use, text]) => {
      const latest = found.filter((one) => one.use === use).sort((a, b) => a.createTime.localeCompare(b.createTime)).at(-1);
      const box = h("input", { type: "checkbox", checked: latest?.granted, onchange: async () => {
        said.replaceChildren();
        try {
          await post(`/v1/${user}/consents`, { use, granted: box.checked, policy: policyName }, newKey());
          said.replaceChildren(h("p", { class: "done" }, "Noted."));
        } catch (error) {
          box.checked = !box.checked;
          said.replaceChildren(problem(error));
        }
      } });
      return h("label", { class: "check" }, box, text);
    }));
  };
  load().catch((error) => body.replaceChildren(problem(error)));
  return card("What we may do", body, said);
}

customElements.define("privacy-centre", PrivacyCentre);
