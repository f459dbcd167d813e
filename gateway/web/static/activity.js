import { get } from "./api.js";
import { card, h, problem, when } from "./dom.js";
import { hear } from "./facts.js";

const SHOWN = 50;
// What each fact is called in a person's own account; one that is not here is named as it is.
const WORDS = {
  UserCreated: "Your account was made",
  UserUpdated: "Your profile was changed",
  UserDeletionScheduled: "You asked for your account to be deleted",
  UserUndeleted: "You kept your account",
  UserContactConfirmed: "You confirmed how we reach you",
  UserDeletionRequested: "Your account is being deleted",
  SessionCreated: "Signed in",
  SessionRevoked: "Signed out",
  PasswordChanged: "Your password was changed",
  AuthorizationCreated: "An app was let in",
  AuthorizationRevoked: "An app lost its access",
  UserImpersonated: "Your account was looked at",
  ImpersonationEnded: "Looking at your account ended",
  PaymentMethodAdded: "A way to pay was added",
  PaymentMethodRemoved: "A way to pay was removed",
};
const BY = { STAFF: "by the store’s staff", PROGRAM: "by a program", CLOCK: "by itself, when it was due" };

// The newest of what happened to this account.
export function activity(user) {
  const rows = h("ul", { class: "rows" });
  const show = async () => {
    try {
      const { auditEntries } = await get(`/v1/${user}/auditEntries?pageSize=${SHOWN}`);
      rows.replaceChildren(...auditEntries.map((one) => h("li", { class: "row" }, h("p", {}, words(one), h("small", {}, when(one.createTime), BY[one.actor] && ` ${BY[one.actor]}`)))));
    } catch (error) {
      rows.replaceChildren(h("li", {}, problem(error)));
    }
  };
  hear("rapport.identity.", show)();
  return card("What happened lately", h("p", { class: "note" }, "Anything you do not know? Choose another password, and tell us."),
    h("div", { class: "bounded", tabindex: "0", role: "region", "aria-label": "What happened to your account" }, rows));
}

const words = ({ fact }) => WORDS[fact] ?? fact.replace(/\B[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
