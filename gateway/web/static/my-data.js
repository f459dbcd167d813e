// What businesses have us hold of somebody without an account. The link in our mail proves who they are; its token stands
// behind the #, so that it reaches no server's log.
import { post } from "./api.js";
import { closer, dialog, field, form, h, when } from "./dom.js";

const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
history.replaceState(null, "", location.pathname);

class MyData extends HTMLElement {
  connectedCallback() {
    this.replaceChildren(token ? this.proven() : h("div", { class: "card narrow" }, this.ask()));
  }

  ask() {
    return form([
      field("E-mail address", { type: "email", name: "email", required: true, autocomplete: "email", maxlength: 254 },
        "The one you gave to the business that you bought from."),
    ], "Mail me a link", async (given, key) => {
      await post("/v1/subjects:begin", given, key);
      return "Open the mail we sent you. Its link works for an hour.";
    });
  }

  proven() {
    const place = h("div", { class: "stack" });
    const show = form([], "Show it", async () => {
      const { records } = await post("/v1/subjects:read", { token });
      const copy = URL.createObjectURL(new Blob([JSON.stringify(records, null, 2)], { type: "application/json" }));
      place.replaceChildren(...records.map(record),
        h("div", { class: "actions" }, h("a", { class: "button quiet", href: copy, download: "my-data.json" }, "Save a copy"),
          h("button", { class: "danger", type: "button", onclick: () => this.confirm(records.length) }, "Erase it…")));
      return "Here it is.";
    });
    return h("div", { class: "stack" }, show, place);
  }

  confirm(count) {
    const keep = closer("Keep it");
    keep.autofocus = true; // what cannot be undone is not under the first key pressed
    const box = dialog("Erase it?", h("p", {}, `What ${count === 1 ? "a business" : `${count} businesses`} told us of you goes for good, and they are told so.`),
      form([], "Erase for good", async () => {
        await post("/v1/subjects:erase", { token });
        box.close();
        this.replaceChildren(h("p", { class: "done", role: "status" }, "It is erased, and the businesses are told."));
      }, { class: "danger", beside: keep }));
  }
}

function record({ company, customer: { email, address, createTime } }) {
  const where = [address.recipient, ...address.lines, `${address.postalCode} ${address.city}`.trim(), address.regionCode].filter(Boolean).join(", ");
  const parts = [["Business", company], ["E-mail", email], ["Name and address", where || "none"], ["Since", when(createTime)]];
  return h("dl", { class: "held card" }, parts.map(([label, text]) => h("div", {}, h("dt", {}, label), h("dd", {}, text))));
}

customElements.define("my-data", MyData);
