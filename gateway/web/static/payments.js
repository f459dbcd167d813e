// What the person pays with, once a checkout has brought something. No card is typed in here.
import { list, remove } from "./api.js";
import { recently } from "./again.js";
import { card, form, h, problem, words } from "./dom.js";
import { hear } from "./facts.js";

export function payments(user) {
  const rows = h("div", {});
  const place = card("Payment methods", h("p", { class: "note" }, "What you chose at the checkout. We never see a card’s number."), rows);
  const show = async () => {
    try {
      const found = await list(`/v1/${user}/paymentMethods`, "paymentMethods");
      rows.replaceChildren(h("ul", { class: "rows" }, found.map((one) => row(one, show))));
      place.hidden = found.length === 0;
    } catch (error) {
      rows.replaceChildren(problem(error));
      place.hidden = false;
    }
  };
  place.hidden = true;
  hear("rapport.identity.", show)();
  return place;
}

function row(one, show) {
  const isCard = one.kind === "CARD";
  const title = isCard ? `${one.brand === "OTHER" ? "Card" : words(one.brand)} ending in ${one.lastFour}` : "PayPal";
  const until = isCard && h("small", {}, `${one.state === "EXPIRED" ? "expired" : "expires"} ${String(one.expireMonth).padStart(2, "0")}/${one.expireYear}`);
  const button = form([], "Remove", async () => {
    if (await recently(() => remove(`/v1/${one.name}`))) await show();
  }, { class: "quiet" });
  button.querySelector("button").setAttribute("aria-label", `Remove ${title}`);
  return h("li", { class: "row" }, h("p", {}, title, " ", one.state === "EXPIRED" && h("span", { class: "badge" }, "Expired"), until), h("div", { class: "actions" }, button));
}
