import { get, newKey, post } from "./api.js";
import { field, form, h, money, problem, when, words } from "./dom.js";

const KINDS = [["QUERY", "A question"], ["FEEDBACK", "Feedback"], ["CLAIM", "A claim: something is wrong"], ["DISPUTE", "A dispute"]];

// The person's orders, each with its own way to help.
export function orders(user) {
  const list = h("div", { class: "stack" });
  const place = h("section", { class: "card", id: "orders", "aria-labelledby": "orders-title" },
    h("h3", { id: "orders-title" }, "Orders"), list);
  const show = async () => {
    const { orders: found } = await get(`/v1/${user}/orders`);
    list.replaceChildren(...(found.length
      ? found.map((order) => entry(user, order))
      : [h("p", { class: "note" }, "No orders yet. They appear here as soon as the shop tells us.")]));
  };
  show().catch((error) => list.replaceChildren(problem(error)));
  document.addEventListener("fact", ({ detail }) => {
    if (detail.type.startsWith("rapport.commerce.")) show();
  });
  return place;
}

function entry(user, order) {
  const number = order.name.split("/").at(-1);
  const lines = order.lines.map((line) => `${line.quantity} × ${line.title || line.sku}`).join(", ");
  return h("div", { class: "row" },
    h("div", {}, h("strong", {}, `Order ${number}`), " ", h("span", { class: "badge" }, words(order.state)),
      h("p", { class: "note" }, `${lines} · ${money(order.total)} · ${when(order.placeTime)}`)),
    h("button", { class: "quiet", "aria-label": `Get help with order ${number}`, onclick: () => ask(user, order, number) }, "Get help"));
}

function ask(user, order, number) {
  const key = newKey();
  const dialog = h("dialog", { "aria-labelledby": "ask-title" },
    h("h2", { id: "ask-title" }, `Help with order ${number}`),
    form([
      field("What is it about?", { tag: "select", name: "kind", options: KINDS }),
      field("In a few words", { name: "title", required: true, maxlength: 200 }),
      field("What happened?", { tag: "textarea", name: "body", required: true, maxlength: 10000 }),
    ], "Send", async (given) => {
      await post(`/v1/${user}/tickets`, { order: order.name, ...given }, key);
      dialog.close();
      document.getElementById("tickets").scrollIntoView({ block: "start" });
    }),
    h("p", {}, h("button", { class: "quiet", type: "button", onclick: () => dialog.close() }, "Not now")));
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}
