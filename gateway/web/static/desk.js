// A page that is somebody's own: who is not signed in does so here, and stays on it.
import { session } from "./api.js";
import { card, h, problem } from "./dom.js";
import { listen, stopListening } from "./facts.js";
import { signIn } from "./sign-in.js";

export class Desk extends HTMLElement {
  connectedCallback() {
    document.addEventListener("session", () => this.show());
    // Only who came with a cookie can be signed in.
    if (this.hasAttribute("signed-in")) session.load().then(() => session.current || this.show(), (error) => this.replaceChildren(problem(error)));
    else this.show();
  }

  show() {
    stopListening();
    this.replaceChildren(...(session.current ? this.own(session.current) : [h("div", { class: "cards" }, signIn(), newHere())]));
    if (session.current) listen();
  }
}

function newHere() {
  return card("New here?", h("p", {}, "Register first: it takes a mail and a password. Then come back to this page."),
    h("p", {}, h("a", { class: "button", href: "/#account" }, "Register")));
}

// Shows again what `look` finds, and keeps the element of whatever has not changed: nobody loses what they were typing.
export function renewed(place, entry, none) {
  const shown = new Map();
  return (found) => {
    const elements = found.map((one) => {
      const state = JSON.stringify(one);
      if (shown.get(one.name)?.state !== state) shown.set(one.name, { state, element: entry(one) });
      return shown.get(one.name).element;
    });
    if (!elements.length) elements.push(none);
    if (elements.length !== place.children.length || elements.some((one, at) => place.children[at] !== one)) place.replaceChildren(...elements);
  };
}
