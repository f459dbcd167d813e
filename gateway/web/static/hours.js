import { get } from "./api.js";
import { h, when } from "./dom.js";

// Whether support is online now, or when it is next, in the visitor's own zone.
class SupportHours extends HTMLElement {
  connectedCallback() {
    this.status = h("p", { class: "status", role: "status" });
    this.replaceChildren(this.status);
    this.show();
    this.timer = setInterval(() => this.show(), 60_000);
  }

  disconnectedCallback() {
    clearInterval(this.timer);
  }

  async show() {
    try {
      const { online, nextOpenTime, nextCloseTime } = await get("/v1/availability");
      if (online) this.say(true, "Our customer service is online now, until ", when(nextCloseTime), " your time.");
      else if (nextOpenTime) this.say(false, "Our customer service is offline. We are back ", when(nextOpenTime), " your time.");
      else this.say(false, "Our customer service is offline.");
    } catch {
      this.say(false, "We cannot tell just now whether support is online.");
    }
  }

  // Said again only when it is something else: it is read out.
  say(online, ...parts) {
    const line = h("span", {}, ...parts);
    if (this.status.textContent === line.textContent) return;
    this.status.classList.toggle("online", online);
    this.status.replaceChildren(line);
  }
}

customElements.define("support-hours", SupportHours);
