import { list, post, remove, session } from "./api.js";
import { recently } from "./again.js";
import { card, field, form, h, problem, when } from "./dom.js";
import { hear } from "./facts.js";

// What lets somebody act as this person: devices that are signed in, apps that were let in, and the password.
export function sessions(user) {
  const device = (one) => [
    h("p", {}, one.device || "A device", " ", isHere(one) && h("span", { class: "badge" }, "This one"), h("small", {}, "since ", when(one.createTime))),
    !isHere(one) && "Sign it out",
  ];
  const leave = form([], "Sign out here", () => session.signOut(), { class: "quiet" });
  return card("Where you are signed in", endable(`/v1/${user}/sessions`, "sessions", "Devices", device), leave);
}

export function apps(user) {
  const app = (one) => [h("p", {}, one.clientTitle, h("small", {}, "since ", when(one.createTime))), "End its access"];
  return card("Apps that reach your account", endable(`/v1/${user}/authorizations`, "authorizations", "Apps", app, "There are none."));
}

const WHY = { SUPPORT_REQUEST: "to help you, as you asked", FRAUD_REVIEW: "to protect it from misuse", LEGAL_REQUEST: "because a court or an authority asked" };

// Who of the store's people looked at this account, where anybody did.
export function visits(user) {
  const rows = h("ul", { class: "rows" });
  const place = card("Our people who looked at your account", h("p", { class: "note" }, "They saw what you see, for five minutes at most, and changed nothing."),
    h("div", { class: "bounded", tabindex: "0", role: "region", "aria-label": "Who looked at your account" }, rows));
  const show = async () => {
    try {
      const found = await list(`/v1/${user}/impersonations`, "impersonations");
      place.hidden = !found.length;
      rows.replaceChildren(...found.map(row));
    } catch (error) {
      place.hidden = false;
      rows.replaceChildren(h("li", {}, problem(error)));
    }
  };
  const row = (one) => h("li", { class: "row" }, h("p", {}, `${ROLES[one.staffRole] ?? one.staffRole}, ${WHY[one.reason]}`, one.note && h("small", {}, one.note), h("small", {}, when(one.createTime))),
    one.state === "ACTIVE" && form([], "End it", async () => {
      await post(`/v1/${one.name}:end`, {});
      await show();
    }, { class: "quiet" }));
  place.hidden = true;
  hear("rapport.identity.", show)();
  return place;
}

const ROLES = { admin: "An administrator" };

export function password(user) {
  return card("Password", form([
    field("New password", { type: "password", name: "password", required: true, minlength: 15, maxlength: 128, autocomplete: "new-password" },
      "At least 15 characters: a few unusual words. Other devices and apps are signed out."),
  ], "Change my password", async (given) => {
    const done = await recently(() => post(`/v1/${user}:changePassword`, given));
    return done && "Your password is changed.";
  }));
}

export function address(user) {
  const place = card("E-mail address", form([
    field("New e-mail address", { type: "email", name: "email", required: true, maxlength: 254, autocomplete: "email" },
      "We mail a link to the address you have and one to the new one. Open both."),
  ], "Change my address", async (given) => {
    const done = await recently(() => post(`/v1/${user}:changeEmail`, given));
    return done && "Open the mails we sent to both addresses.";
  }));
  place.id = "mail-address";
  return place;
}

const isHere = (one) => one.name === session.current?.session;

// A list of what can be ended one by one, each row with the words on its button, if it has one.
function endable(path, name, label, told, none = "") {
  const rows = h("ul", { class: "rows" });
  const show = async () => {
    try {
      const found = await list(path, name);
      rows.replaceChildren(...found.map(row), ...(found.length ? [] : [h("li", { class: "note" }, none)]));
    } catch (error) {
      rows.replaceChildren(h("li", {}, problem(error)));
    }
  };
  const row = (one) => {
    const [what, button] = told(one);
    return h("li", { class: "row" }, what, button && form([], button, async () => {
      await remove(`/v1/${one.name}`);
      await show();
    }, { class: "quiet" }));
  };
  hear("rapport.identity.", show)();
  return h("div", { class: "bounded", tabindex: "0", role: "region", "aria-label": label }, rows);
}
