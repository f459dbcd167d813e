import { get } from "./api.js";
import { h, when } from "./dom.js";

// Whether support is online now, or when it is next.
class SupportHours extends HTMLElement {
  connectedCallback() {
    this.show();
    this.timer = setInterval(() => this.show(), 60_000);
  }

  disconnectedCallback() {
    clearInterval(this.timer);
  }

  async show() {
    try {
      const told = await get("/v1/availability");
      const text = told.online
        ? `Our customer service is online now, until ${when(told.nextCloseTime)}.`
        : told.nextOpenTime
          ? `Our customer service is offline. We are back ${when(told.nextOpenTime)} your time.`
          : "Our customer service is offline.";
      this.replaceChildren(h("p", { class: told.online ? "status online" : "status" }, text));
    } catch {
      this.replaceChildren(h("p", { class: "status" }, "We cannot tell just now whether support is online."));
    }
  }
}

customElements.define("support-hours", SupportHours);
