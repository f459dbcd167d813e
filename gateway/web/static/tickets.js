import { get, newKey, post, session } from "./api.js";
import { field, form, h, problem, when, words } from "./dom.js";

// What the person and the store say to one another. Staff see everybody's tickets here.
export function tickets(user) {
  const isStaff = session.current.roles.includes("agent");
  const list = h("div", { class: "stack" });
  const place = h("section", { class: "card", id: "tickets", "aria-labelledby": "tickets-title" },
    h("h3", { id: "tickets-title" }, isStaff ? "Everybody's tickets" : "Tickets"), list);
  const open = new Map();
  const show = async () => {
    const { tickets: found } = await get(`/v1/${isStaff ? "users/-" : user}/tickets`);
    const entries = found.map((ticket) => {
      const known = open.get(ticket.name) ?? entry(ticket);
      known.update(ticket);
      open.set(ticket.name, known);
      return known.element;
    });
    list.replaceChildren(...(entries.length ? entries : [h("p", { class: "note" }, "No tickets. Choose an order above to submit one.")]));
  };
  show().catch((error) => list.replaceChildren(problem(error)));
  document.addEventListener("fact", async ({ detail }) => {
    if (!detail.type.startsWith("rapport.support.")) return;
    await show();
    await open.get(detail.event.ticket)?.load();
  });
  return place;
}

function entry(ticket) {
  const badge = h("span", { class: "badge" });
  const thread = h("ol", { class: "thread", role: "log", "aria-label": `Messages of ${ticket.title}`, "aria-live": "polite" });
  const closed = h("p", { class: "note" }, "This ticket is closed. Submit a new one if you still need us.");
  let key = newKey();
  const load = async () => {
    if (!element.open) return;
    const { messages } = await get(`/v1/${ticket.name}/messages`);
    thread.replaceChildren(...messages.map((message) => h("li", { class: message.side.toLowerCase() }, message.body,
      h("small", {}, `${message.authorName || words(message.side)}, ${when(message.createTime)}`))));
  };
  const reply = form([field("Reply", { tag: "textarea", name: "body", required: true, maxlength: 10000 })], "Send", async (given, made) => {
    await post(`/v1/${ticket.name}/messages`, given, key);
    key = newKey();
    made.reset();
    await load();
  });
  const element = h("details", { class: "answer", ontoggle: () => load() },
    h("summary", {}, ticket.title, " ", badge), thread, reply, closed);
  const update = (present) => {
    badge.textContent = words(present.state);
    closed.hidden = present.state !== "CLOSED";
    reply.hidden = present.state === "CLOSED";
  };
  return { element, load, update };
}
