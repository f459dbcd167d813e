import { get } from "./api.js";
import { card, h, problem, when, words } from "./dom.js";
import { hear } from "./facts.js";

// The wallet: what there is, and how it came about.
export function points(user) {
  const body = h("div", { role: "status" });
  const table = h("div", {});
  const place = card("Points", body, table);
  place.id = "points";
  const show = async () => {
    try {
      const [account, { movements }] = await Promise.all([
        get(`/v1/${user}/pointsAccount`), get(`/v1/${user}/pointsAccount/movements?pageSize=10`)]);
      body.replaceChildren(
        h("p", { class: "big" }, Number(account.available).toLocaleString(), " ", h("small", {}, account.currency || "R points")),
        account.arrears === "0" ? "" : h("p", { class: "note" }, `${account.arrears} are owed after a refund: the next ones settle that.`));
      table.replaceChildren(movements.length ? statement(movements)
        : h("p", { class: "note" }, "No points yet. Subscribing and every paid order gain you some."));
    } catch (error) {
      body.replaceChildren(problem(error));
    }
  };
  hear("rapport.loyalty.", show)();
  return place;
}

function statement(movements) {
  const row = (one) => h("tr", {},
    h("td", {}, words(one.kind), h("small", {}, when(one.effectiveTime))),
    h("td", { class: "number" }, `${Number(one.points) > 0 ? "+" : ""}${one.points}`),
    h("td", { class: "number" }, one.balanceAfter));
  return h("table", {}, h("caption", { class: "visually-hidden" }, "The last ten movements of your points"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "What"), h("th", { scope: "col", class: "number" }, "Points"),
      h("th", { scope: "col", class: "number" }, "Balance"))),
    h("tbody", {}, movements.map(row)));
}
