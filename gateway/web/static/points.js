import { get } from "./api.js";
import { card, count, day, h, lastMoment, problem, words } from "./dom.js";
import { hear } from "./facts.js";
import { tier } from "./tiers.js";

const FIRST = 5;
const PAGE = 10;
const MOST = 200; // rows of a page that the API gives
const NEXT = 3; // dates named before "more"

// The wallet: what there is, what becomes of it, and how it came about.
export function points(user) {
  const amount = h("div", { role: "status" });
  const parts = h("div", {});
  const story = statement(`/v1/${user}/pointsAccount/movements`);
  const place = card("Points", amount, parts, story.element);
  place.id = "points";
  const show = async () => {
    try {
      const [account, standing] = await Promise.all([get(`/v1/${user}/pointsAccount`), tier(user), story.show()]);
      const unit = account.currency || "R points";
      amount.replaceChildren(h("p", { class: "big" }, count(account.available), " ", h("small", {}, unit)));
      parts.replaceChildren(...others(account), ...ending(account.expiring), ...standing);
    } catch (error) {
      amount.replaceChildren(problem(error));
    }
  };
  hear("rapport.loyalty.", show)();
  return place;
}

// What is not to be spent now, where there is any.
function others({ pending, held, arrears }) {
  const kinds = [
    [pending, "Pending", "yours to spend later"],
    [held, "Set aside", "for an order under way"],
    [arrears, "Owed", "the next points settle this"],
  ].filter(([points]) => Number(points));
  return kinds.length ? [h("dl", { class: "purses" }, kinds.map(([points, name, means]) =>
    h("div", {}, h("dt", {}, name, h("small", {}, means)), h("dd", { class: "number" }, count(points)))))] : [];
}

function ending(dates) {
  if (!dates.length) return [];
  const line = ({ points, expireTime }) => h("li", {}, h("span", {}, "until ", day(lastMoment(expireTime))),
    h("span", { class: "number" }, count(points)));
  const later = dates.slice(NEXT);
  return [h("h4", {}, "Expiring next"), h("ul", { class: "ends" }, dates.slice(0, NEXT).map(line)),
    later.length ? h("details", { class: "answer" }, h("summary", {}, later.length === 1 ? "One more date" : `${later.length} more dates`),
      h("ul", { class: "ends" }, later.map(line))) : ""];
}

// Newest first, few of them until more are wanted. What was opened stays open, and the focus where it is, when there is news.
function statement(path) {
  const rows = h("tbody", {});
  const table = h("table", { hidden: true }, h("caption", {}, "Statement"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "What"), h("th", { scope: "col", class: "number" }, "Points"),
      h("th", { scope: "col", class: "number" }, "Balance"))), rows);
  const nothing = h("p", { class: "note", hidden: true }, "No points yet. Subscribing and every paid order gain you some.");
  const said = h("div", { class: "said", role: "status" });
  const earlier = h("button", { class: "quiet", type: "button", onclick: () => more() }, "Show earlier");
  const foot = h("div", { class: "actions", hidden: true }, earlier);
  let next = "";
  let turn = Promise.resolve(); // one question after the other, so that no older answer overwrites a newer one
  const inTurn = (act) => (turn = turn.then(act, act));

  const page = async (size, token) => {
    const { movements, nextPageToken } = await get(`${path}?pageSize=${size}&pageToken=${encodeURIComponent(token)}`);
    next = nextPageToken;
    foot.hidden = !next;
    return movements.map(row);
  };
  const show = () => inTurn(async () => {
    const found = await page(Math.min(MOST, Math.max(FIRST, rows.children.length)), "");
    rows.replaceChildren(...found);
    table.hidden = !found.length;
    nothing.hidden = Boolean(found.length);
  });
  const more = () => inTurn(async () => {
    if (!next) return;
    try {
      const found = await page(PAGE, next);
      rows.append(...found);
      said.replaceChildren(h("p", { class: "note" }, `${found.length} earlier ones are shown.`));
      if (foot.hidden) found[0].focus(); // where the button was there is nothing any more
    } catch (error) {
      said.replaceChildren(problem(error));
    }
  });
  return { element: h("div", { class: "statement" }, nothing, table, foot, said), show };
}

const NAMES = {
  NEWSLETTER_BONUS: "Newsletter bonus",
  ORDER: "Order",
  ORDER_REFUND: "Order refunded",
  GOODWILL: "A gift from us",
  ACTIVATE: "Ready to spend",
  EXPIRE: "Expired",
  REDEEM: "Spent",
  HOLD: "Set aside for an order",
  CAPTURE: "Spent",
  RELEASE: "No longer set aside",
  REFUND: "Spent points returned",
  REVERSE: "Taken back",
  TRANSFER_OUT: "Passed on",
  TRANSFER_IN: "Passed on to you",
  ADJUST: "Correction",
  IMPORT: "Brought along",
  REFERRAL: "Thanks for a friend",
  CAMPAIGN: "Promotion",
};

function row(one) {
  const order = one.order ? [" ", h("span", { class: "number" }, one.order.split("/").at(-1))] : "";
  return h("tr", { tabindex: -1 },
    h("td", {}, NAMES[one.kind] ?? words(one.kind), order, h("small", {}, day(one.effectiveTime)),
      aside(one).map((text) => h("small", {}, text))),
    h("td", { class: `number ${["lost", "nothing", "gained"][Math.sign(one.points) + 1]}` }, change(one.points)),
    h("td", { class: "number" }, count(one.balanceAfter)));
}

// What moved beside the points to spend, where those do not tell it already.
function aside({ kind, points, pending, held, arrears }) {
  return [
    kind === "CAPTURE" && `${count(-held)} of those set aside`,
    !Number(points) && Number(pending) && `${change(pending)} pending`,
    kind !== "CAPTURE" && !Number(points) && Number(held) && `${change(held)} set aside`,
    Number(arrears) > 0 && `${count(arrears)} owed`,
    Number(arrears) < 0 && `${count(-arrears)} settled what was owed`,
  ].filter(Boolean);
}

// With a real minus sign: as wide as the plus, and read out as one.
function change(points) {
  const value = Number(points);
  return `${value > 0 ? "+" : value < 0 ? "−" : ""}${count(Math.abs(value))}`;
}
