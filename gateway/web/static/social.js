// Accounts elsewhere. The form that leads there is laid out by the server, with the token that it needs; here it is put where
// it belongs, as often as that is.
import { get, list, post, remove } from "./api.js";
import { recently } from "./again.js";
import { card, form, h, problem, when } from "./dom.js";
import { hear } from "./facts.js";
import { socialForm } from "./elsewhere.js";

// How this person can sign in: with what they linked, and with a password.
export function ways(user) {
  if (!socialForm()) return null;
  const rows = h("ul", { class: "rows" });
  const others = h("div", { class: "actions" });
  const show = async () => {
    try {
      const [linked, { providers }] = await Promise.all([list(`/v1/${user}/externalIdentities`, "externalIdentities"), get("/v1/socialProviders")]);
      rows.replaceChildren(...linked.map(row), ...(linked.length ? [] : [h("li", { class: "note" }, "You sign in with your password alone.")]));
      others.replaceChildren(...providers.filter(({ provider }) => linked.every((one) => one.provider !== provider)).map(({ provider, title }) => form([], `Link ${title}`, () => link(provider), { class: "quiet" })));
    } catch (error) {
      rows.replaceChildren(h("li", {}, problem(error)));
    }
  };
  const row = (one) => h("li", { class: "row" },
    h("p", {}, one.providerTitle, h("small", {}, one.accountName || "An account there", ", since ", when(one.createTime))),
    form([], `Unlink ${one.providerTitle}`, async () => {
      const done = await recently(() => remove(`/v1/${one.name}`));
      if (done !== null) await show();
    }, { class: "quiet" }));
  hear("rapport.identity.", show)();
  return card("Ways to sign in", rows, others);
}

async function link(provider) {
  const told = await recently(() => post(`/social/${provider}/link`));
  if (told) location.assign(told.uri);
}
