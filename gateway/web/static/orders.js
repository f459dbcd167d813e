import { list, post } from "./api.js";
import { card, closer, dialog, field, form, h, money, problem, when, words } from "./dom.js";
import { hear } from "./facts.js";

const KINDS = [["QUERY", "A question"], ["FEEDBACK", "Feedback"], ["CLAIM", "A claim: something is wrong"], ["DISPUTE", "A dispute"]];

// The person's orders, each with its own way to help.
export function orders(user) {
  const rows = h("ul", { class: "rows" });
  const place = card("Orders", rows);
  place.id = "orders";
  const shown = new Map();
  const show = async () => {
    try {
      const found = await list(`/v1/${user}/orders`, "orders");
      for (const order of found) {
        const state = JSON.stringify(order);
        if (shown.get(order.name)?.state === state) continue;
        const element = entry(user, order);
        const before = shown.get(order.name)?.element;
        if (before) before.replaceWith(element);
        shown.set(order.name, { state, element });
      }
      const elements = found.map(({ name }) => shown.get(name).element);
      if (!elements.length) elements.push(h("li", { class: "note" }, "No orders yet. They appear here as soon as the shop tells us."));
      // What has the focus keeps it: nothing is moved that stands where it should.
      if (elements.some((one, at) => rows.children[at] !== one)) rows.replaceChildren(...elements);
    } catch (error) {
      rows.replaceChildren(h("li", {}, problem(error)));
    }
  };
  hear("rapport.commerce.", show)();
  return place;
}

function entry(user, order) {
  const number = order.name.split("/").at(-1);
  const lines = order.lines.map((line) => `${line.quantity} × ${line.title || line.sku}`).join(", ");
  return h("li", { class: "row" },
    h("div", {}, h("strong", {}, `Order ${number}`), " ", h("span", { class: "badge" }, words(order.state)),
      h("p", { class: "note" }, `${lines} · ${money(order.total)} · `, when(order.placeTime))),
    h("button", { class: "quiet", "aria-label": `Get help with order ${number}`, onclick: () => ask(user, order, number) }, "Get help"));
}

function ask(user, order, number) {
  const box = dialog(`Help with order ${number}`, form([
    field("What is it about?", { tag: "select", name: "kind", options: KINDS }),
    field("In a few words", { name: "title", required: true, maxlength: 200 }),
    field("What happened?", { tag: "textarea", name: "body", required: true, maxlength: 10000 }),
  ], "Send", async (given, key) => {
    const ticket = await post(`/v1/${user}/tickets`, { order: order.name, ...given }, key);
    box.close();
    document.dispatchEvent(new CustomEvent("ticket", { detail: ticket }));
  }, { beside: closer("Not now") }));
}
