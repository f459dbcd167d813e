import { get, post } from "./api.js";
import { asShown } from "./as-shown.js";
import { card, day, form, h, problem } from "./dom.js";
import { hear } from "./facts.js";

// At the head of an account whose owner was not asked for a year, or whose mail comes back. It stands in nobody's way.
export function stillRight(user) {
  const place = h("div", { class: "notice" });
  const show = async () => {
    const me = await get(`/v1/${user}`);
    const asked = ["OLD", "BOUNCED"].includes(me.contactConfirmation);
    if (asked && place.dataset.etag !== me.etag) {
      place.dataset.etag = me.etag;
      place.replaceChildren(question(me, show));
    }
    if (asked || !place.childElementCount) return;
    delete place.dataset.etag;
    const hadFocus = place.contains(document.activeElement);
    const thanks = h("p", { class: "done", tabindex: "-1" }, "Thank you. That is noted.");
    place.replaceChildren(thanks);
    if (hadFocus) thanks.focus();
  };
  hear("rapport.identity.v1.User", () => show().catch((error) => place.replaceChildren(problem(error))))();
  return place;
}

function question(me, show) {
  const bounced = me.contactConfirmation === "BOUNCED";
  const held = [["E-mail", me.email], ["Name", me.displayName], ["Shipping address", written(me.shippingAddress)], ["Billing address", written(me.billingAddress)]];
  const panel = card("Is this still right?",
    h("p", {}, bounced ? "Mail that we sent to your address came back." : ["This is how we reach you. You last looked at it on ", day(me.contactConfirmTime), "."]),
    h("dl", { class: "contact" }, held.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    form([], "Yes, it is", async () => {
      await asShown(me, (etag) => post(`/v1/${me.name}:confirmContactData`, { etag }));
      await show();
    }, { beside: h("a", { class: "button quiet", href: bounced ? "#mail-address" : "#profile" }, "Change it") }));
  panel.classList.add("accent");
  return panel;
}

const written = (address) => address && [address.recipient, ...address.lines ?? [], [address.postalCode, address.city].filter(Boolean).join(" "), address.regionCode]
  .filter(Boolean).join(", ");
