import { get, newKey, post, remove, session } from "./api.js";
import { field, form, h, problem, when } from "./dom.js";

const USES = [["TARGETED_ADVERTISING", "Targeted advertisements"], ["SITE_STATISTICS", "Statistics about how I use the site"]];

// What we hold, what you agreed to, a copy of it, and an end to it.
class PrivacyCentre extends HTMLElement {
  connectedCallback() {
    document.addEventListener("session", () => this.show());
    this.show();
  }

  show() {
    const user = session.current?.user;
    this.replaceChildren(h("div", { class: "stack" },
      h("div", { class: "cards" }, policy(), dataMap()),
      user
        ? h("div", { class: "cards" }, consents(user), copy(user), goodbye(user))
        : h("p", { class: "note" }, "Sign in to choose what we may do, to get a copy of what we hold on you, or to delete your account.")));
  }
}

function card(title, ...children) {
  return h("section", { class: "card" }, h("h3", {}, title), ...children);
}

function policy() {
  const body = h("div", {});
  const made = h("details", { ontoggle: async () => {
    try {
      const told = await get("/v1/policies/latest");
      body.replaceChildren(h("div", { class: "policy", tabindex: "0", role: "region", "aria-label": "Privacy policy" }, told.body),
        h("p", { class: "hint" }, `Version ${told.name.split("/")[1]}, in force since ${when(told.publishTime)}`));
    } catch (error) {
      body.replaceChildren(problem(error));
    }
  } }, h("summary", {}, "Read the policy"), body);
  return card("Privacy policy", made);
}

function dataMap() {
  const body = h("div", {});
  const made = h("details", { ontoggle: async () => {
    try {
      const { holders } = await get("/v1/dataMap");
      const rows = holders.flatMap(({ holder, holdings }) => holdings.map((one) => h("tr", {},
        h("td", {}, one.category), h("td", {}, one.purpose), h("td", {}, one.retention), h("td", {}, (one.disclosedTo ?? []).join(", ") || "nobody"),
        h("td", {}, holder.split("/")[1]))));
      const heads = ["What", "What for", "How long", "Told to", "Held by"].map((text) => h("th", { scope: "col" }, text));
      body.replaceChildren(h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Kinds of data" },
        h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows))));
    } catch (error) {
      body.replaceChildren(problem(error));
    }
  } }, h("summary", {}, "Show every kind of data"), body);
  return card("What we hold on people", made);
}

function consents(user) {
  const body = h("div", {}, h("p", { class: "note" }, "Loading…"));
  const load = async () => {
    const [{ consents: found }, { name: latest }] = await Promise.all([get(`/v1/${user}/consents`), get("/v1/policies/latest")]);
    body.replaceChildren(...USES.map(([use, text]) => {
      const granted = found.find((one) => one.use === use)?.granted ?? false;
      const box = h("input", { type: "checkbox", checked: granted, onchange: async () => {
        try {
          await post(`/v1/${user}/consents`, { use, granted: box.checked, policy: latest }, newKey());
        } catch (error) {
          box.checked = !box.checked;
          body.append(problem(error));
        }
      } });
      return h("label", { class: "check" }, box, text);
    }));
  };
  load().catch((error) => body.replaceChildren(problem(error)));
  return card("What we may do", body);
}

function copy(user) {
  return card("A copy for you", h("p", {}, "Everything every part of the store holds on you, as one machine-readable file."),
    form([], "Get my data", async () => {
      const made = await recently(() => post(`/v1/${user}/exports`, {}, newKey()));
      if (!made) return "";
      const link = h("a", { href: `/v1/${made.name}:download`, download: "my-data.json" });
      document.body.append(link);
      link.click();
      link.remove();
      return "Your download begins.";
    }));
}

function goodbye(user) {
  return card("Delete your account", h("p", {}, "We erase what we hold on you, everywhere, and prove it with a receipt. Points are forfeited. This cannot be undone."),
    h("button", { class: "danger", onclick: () => confirmDeletion(user) }, "Delete my account…"));
}

function confirmDeletion(user) {
  const dialog = h("dialog", { "aria-labelledby": "delete-title" }, h("h2", { id: "delete-title" }, "Delete your account?"),
    h("p", {}, "Your profile, orders, tickets and points go. You are signed out everywhere."),
    form([], "Delete for good", async () => {
      const gone = await recently(() => remove(`/v1/${user}`));
      if (!gone) return;
      dialog.replaceChildren(h("h2", {}, "Your account is being erased"),
        h("p", {}, "Keep this receipt. It shows which part of the store erased what, and names nobody:"),
        h("p", {}, h("a", { href: `/v1/${gone.erasure}` }, gone.erasure)),
        h("button", { onclick: () => location.assign("/") }, "Done"));
    }, { class: "danger" }),
    h("p", {}, h("button", { class: "quiet", type: "button", onclick: () => dialog.close() }, "Keep my account")));
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}

// Does it, after asking for the password again where the sign-in is too old for it.
async function recently(action) {
  try {
    return await action();
  } catch (error) {
    if (error.reason !== "SIGN_IN_TOO_OLD") throw error;
  }
  const { email } = await get(`/v1/${session.current.user}`);
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-labelledby": "again-title" }, h("h2", { id: "again-title" }, "Is it you?"),
      form([field("Password", { type: "password", name: "password", required: true, autocomplete: "current-password" })], "Go on",
        async ({ password }) => {
          session.current = await post("/session", { email, password });
          const done = await action();
          resolve(done);
          dialog.close();
        }),
      h("p", {}, h("button", { class: "quiet", type: "button", onclick: () => dialog.close() }, "Cancel")));
    document.body.append(dialog);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(null);
    });
    dialog.showModal();
  });
}

customElements.define("privacy-centre", PrivacyCentre);
