import { hidCard, list, post, session } from "./api.js";
import { card, field, form, h, problem, when, words } from "./dom.js";
import { hear } from "./facts.js";

const HIDDEN = "We hid a card number in what you wrote. We never need one.";
const STATES = { NEW: "Sent", OPEN: "With us", PENDING: "Your turn" }; // as the customer sees them

// What the person and the store say to one another. Staff see everybody's tickets here.
export function tickets(user) {
  const isStaff = session.current.roles.includes("agent");
  const rows = h("div", {});
  const none = h("p", { class: "note" }, isStaff ? "No tickets." : "No tickets. Choose “Get help” on an order to submit one.");
  const said = h("div", { class: "said", role: "status" });
  const known = new Map();
  const show = async () => {
    try {
      const found = await list(`/v1/${isStaff ? "users/-" : user}/tickets`, "tickets");
      for (const ticket of found.reverse()) {
        if (!known.has(ticket.name)) {
          known.set(ticket.name, entry(ticket, isStaff));
          rows.prepend(known.get(ticket.name).element);
        }
        known.get(ticket.name).update(ticket);
      }
      none.hidden = known.size > 0;
      await Promise.all([...known.values()].map((one) => one.load()));
    } catch (error) {
      said.replaceChildren(problem(error));
    }
  };
  const look = hear("rapport.support.", show);
  look();
  const place = card(isStaff ? "Everybody's tickets" : "Tickets", said, none, rows,
    isStaff && form([], "Look for new ones", look, { class: "quiet" }));
  place.id = "tickets";
  place.addEventListener("submitted", async ({ detail }) => {
    await show();
    said.replaceChildren(h("p", { class: "done" }, "Your ticket is submitted. Our answer appears here."), hidCard(detail) ? h("p", { class: "note" }, HIDDEN) : "");
    known.get(detail.name)?.open();
  });
  return place;
}

document.addEventListener("ticket", ({ detail }) => {
  document.getElementById("tickets")?.dispatchEvent(new CustomEvent("submitted", { detail }));
});

function entry(ticket, isStaff) {
  const badge = h("span", { class: "badge" });
  const thread = h("ol", { class: "thread" });
  const log = h("div", { role: "log", "aria-label": `Messages of ${ticket.title}` }, thread);
  const closed = h("p", { class: "note" }, "This ticket is closed. Submit a new one if you still need us.");
  const said = h("div", { class: "said", role: "status" });
  const seen = new Set();
  const load = async () => {
    if (!element.open) return;
    try {
      const messages = await list(`/v1/${ticket.name}/messages`, "messages");
      const fresh = messages.filter(({ name }) => !seen.has(name));
      for (const { name } of fresh) seen.add(name);
      thread.append(...fresh.map(bubble)); // only what is new, so that only that is read out
      said.replaceChildren();
    } catch (error) {
      said.replaceChildren(problem(error));
    }
  };
  const reply = form([field("Reply", { tag: "textarea", name: "body", required: true, maxlength: 10000 })], "Send", async (given, key) => {
    const told = await post(`/v1/${ticket.name}/messages`, given, key);
    reply.reset();
    await load();
    return hidCard(told) ? HIDDEN : "";
  });
  const solve = form([], "Mark as solved", async (_, key) => update(await post(`/v1/${ticket.name}:solve`, {}, key)), { class: "quiet" });
  const summary = h("summary", {}, h("span", {}, ticket.title), badge);
  const element = h("details", { class: "answer", ontoggle: load }, summary, log, said, reply, solve, closed);
  const update = ({ state }) => {
    badge.textContent = (isStaff ? null : STATES[state]) ?? words(state);
    closed.hidden = state !== "CLOSED";
    reply.hidden = state === "CLOSED";
    solve.hidden = !["OPEN", "PENDING"].includes(state);
  };
  const open = () => {
    element.open = true;
    summary.focus();
  };
  return { element, load, update, open };
}

function bubble(message) {
  return h("li", { class: message.side.toLowerCase() }, message.body,
    h("small", {}, `${message.authorName || words(message.side)}, `, when(message.createTime)));
}
