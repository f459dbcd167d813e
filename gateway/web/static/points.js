import { get } from "./api.js";
import { h, problem, when, words } from "./dom.js";

// The wallet: what there is, and how it came about.
export function points(user) {
  const body = h("div", {});
  const place = h("section", { class: "card", id: "points", "aria-labelledby": "points-title" },
    h("h3", { id: "points-title" }, "Points"), body);
  const show = async () => {
    const account = await get(`/v1/${user}/pointsAccount`);
    const { movements } = await get(`/v1/${user}/pointsAccount/movements?pageSize=10`);
    body.replaceChildren(
      h("p", { class: "big" }, Number(account.available).toLocaleString()),
      h("p", { class: "note" }, account.currency || "R points",
        account.arrears !== "0" && `, and ${account.arrears} owed after a refund`),
      movements.length > 0 && statement(movements),
    );
  };
  show().catch((error) => body.replaceChildren(problem(error)));
  document.addEventListener("fact", ({ detail }) => {
    if (detail.type.startsWith("rapport.loyalty.")) show();
  });
  return place;
}

function statement(movements) {
  const row = (one) => h("tr", {},
    h("td", {}, words(one.kind), h("br"), h("small", { class: "note" }, when(one.effectiveTime))),
    h("td", { class: "number" }, `${Number(one.points) > 0 ? "+" : ""}${one.points}`),
    h("td", { class: "number" }, one.balanceAfter));
  return h("table", {}, h("caption", { class: "visually-hidden" }, "The last ten movements of your points"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "What"), h("th", { scope: "col", class: "number" }, "Points"),
      h("th", { scope: "col", class: "number" }, "Balance"))),
    h("tbody", {}, movements.map(row)));
}
