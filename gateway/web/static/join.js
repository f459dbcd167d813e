// Where the link of an invitation leads. The token stands behind the #, so that it reaches no server's log.
import { post } from "./api.js";
import { ROLES } from "./business.js";
import { Desk } from "./desk.js";
import { card, form, h } from "./dom.js";

const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
history.replaceState(null, "", location.pathname);

class JoinDesk extends Desk {
  own() {
    if (!token) return [h("p", {}, "This address is not whole. Open the link in our mail as it is, or ask for a new one.")];
    return [card("You are invited", form([], "Join the business", async () => {
      const { company, role } = await post("/v1/businessInvitations:accept", { token });
      return `You act for ${company} now, as ${ROLES[role].toLowerCase()}.`;
    }, { beside: h("a", { class: "button quiet", href: "/trade" }, "To your businesses") }))];
  }
}

customElements.define("join-desk", JoinDesk);
