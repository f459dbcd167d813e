// Who acts for a business. Owners say who does, and in which role.
import { list, post, remove, session } from "./api.js";
import { recently } from "./again.js";
import { ROLES } from "./business.js";
import { field, form, h, problem, when } from "./dom.js";

export function people(business, look) {
  const isOwner = business.role === "OWNER";
  const rows = h("ul", { class: "rows" });
  const show = async () => {
    try {
      const members = await list(`/v1/${business.name}/members`, "members");
      const waiting = isOwner ? await list(`/v1/${business.name}/invitations`, "invitations") : [];
      rows.replaceChildren(...members.map((one) => member(one, isOwner, show)), ...waiting.map((one) => invited(one, show)));
    } catch (error) {
      rows.replaceChildren(h("li", {}, problem(error)));
    }
  };
  const leave = form([], "Leave this business", async () => {
    await post(`/v1/${business.name}:leave`);
    await look();
  }, { class: "quiet" });
  return h("details", { class: "answer", ontoggle: ({ target }) => target.open && show() },
    h("summary", {}, "People"), rows, isOwner && h("p", { class: "note" }, "Viewers see, managers correct, owners decide."), isOwner && invite(business, show), leave);
}

function member(one, isOwner, show) {
  const isMe = one.name.endsWith(session.current.user.split("/")[1]);
  const who = h("p", {}, one.displayName || one.email, " ", h("span", { class: "badge" }, ROLES[one.role]), h("small", {}, isMe ? "You" : one.email));
  if (!isOwner || isMe) return h("li", { class: "row" }, who);
  const role = h("select", { "aria-label": `Role of ${one.email}`, name: "role" }, Object.entries(ROLES).map(([value, text]) => h("option", { value, selected: value === one.role }, text)));
  return h("li", { class: "row" }, who,
    form([role], "Change", async (given) => {
      if (await recently(() => post(`/v1/${one.name}:setRole`, given))) await show();
    }, { class: "quiet", inline: true }),
    form([], "Remove", async () => {
      await remove(`/v1/${one.name}`);
      await show();
    }, { class: "quiet" }));
}

function invited(one, show) {
  return h("li", { class: "row" },
    h("p", {}, one.email, " ", h("span", { class: "badge" }, `Invited: ${ROLES[one.role].toLowerCase()}`), h("small", {}, "until ", when(one.expireTime))),
    form([], "Take back", async () => {
      await remove(`/v1/${one.name}`);
      await show();
    }, { class: "quiet" }));
}

function invite(business, show) {
  const element = form([
    field("Invite somebody by mail", { type: "email", name: "email", required: true, maxlength: 254 }),
    field("As", { tag: "select", name: "role", options: Object.entries(ROLES) }),
  ], "Invite", async (given, key) => {
    const done = await recently(() => post(`/v1/${business.name}/invitations`, given, key));
    if (!done) return "";
    element.reset();
    await show();
    return "They get a link that works for 24 hours.";
  }, { class: "quiet", inline: true });
  return element;
}
