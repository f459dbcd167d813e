// Elements built in code: text is always text, never markup.
import { newKey } from "./api.js";

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

let made = 0;
const newId = () => `made-${++made}`;

export function card(title, ...children) {
  const id = newId();
  return h("section", { class: "card", "aria-labelledby": id }, h("h3", { id }, title), ...children);
}

export function field(label, attributes = {}, hint = "") {
  const id = newId();
  const { tag = "input", options = [], ...rest } = attributes;
  const control = h(tag, { id, ...rest, "aria-describedby": hint ? `${id}-hint` : null },
    options.map(([value, text]) => h("option", { value }, text)));
  return h("div", { class: "field" }, h("label", { for: id }, label), control, hint && h("p", { class: "hint", id: `${id}-hint` }, hint));
}

// A form that says beside its button what came of it, and cannot be sent twice at once. `send` gets what was filled in
// and the key of this intention, which is another one as soon as anything is changed.
export function form(children, button, send, { class: kind, beside, inline } = {}) {
  const said = h("div", { class: "said", role: "status" });
  const submit = h("button", { class: kind }, button);
  let key = newKey();
  const element = h("form", { class: inline && "inline", oninput: () => { key = newKey(); }, onsubmit: async (event) => {
    event.preventDefault();
    if (submit.getAttribute("aria-disabled")) return;
    submit.setAttribute("aria-disabled", "true"); // `disabled` would lose the focus
    said.replaceChildren();
    for (const control of element.elements) control.removeAttribute("aria-invalid");
    try {
      const done = await send(Object.fromEntries(new FormData(element)), key);
      key = newKey();
      if (done) said.replaceChildren(h("p", { class: "done" }, done));
    } catch (error) {
      said.replaceChildren(problem(error));
      for (const { pointer = "" } of error.errors ?? []) {
        element.elements[pointer.split("/").at(-1)]?.setAttribute("aria-invalid", "true");
      }
    } finally {
      submit.removeAttribute("aria-disabled");
    }
  } }, ...children, h("div", { class: "actions" }, submit, beside), said);
  return element;
}

// A dialog over the page: Esc closes it, and the focus goes back to where it was.
export function dialog(title, ...children) {
  const id = newId();
  const element = h("dialog", { "aria-labelledby": id, onclose: () => element.remove() }, h("h2", { id }, title), ...children);
  document.body.append(element);
  element.showModal();
  return element;
}

export function closer(text) {
  return h("button", { class: "quiet", type: "button", onclick: ({ target }) => target.closest("dialog").close() }, text);
}

export function problem(error) {
  if (!("reason" in error || "status" in error || "detail" in error)) console.error(error); // a mistake of ours
  const details = (error.errors ?? []).map((one) => one.detail).filter((text) => text !== error.detail);
  return h("p", { class: "error" }, [error.detail ?? "That did not work.", ...details].join(" "),
    error.requestId && h("small", {}, "If you ask us about it, quote ", h("code", {}, error.requestId)));
}

const MOMENT = { weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit" };

export function when(time) {
  return timed(time, MOMENT);
}

export function day(time) {
  return timed(time, { day: "numeric", month: "short", year: "numeric" });
}

// At the instant itself it is over: what people ask is until when they have it.
export const lastMoment = (time) => new Date(new Date(time).getTime() - 1).toISOString();

function timed(time, shape) {
  return h("time", { datetime: time }, new Intl.DateTimeFormat(undefined, shape).format(new Date(time)));
}

export const count = (whole) => Number(whole).toLocaleString();

export function money(amount) {
  if (!amount) return "";
  const value = Number(amount.units ?? 0) + (amount.nanos ?? 0) / 1e9;
  return new Intl.NumberFormat(undefined, { style: "currency", currency: amount.currencyCode || "USD" }).format(value);
}

export function words(constant) {
  const text = constant.replaceAll(/[_.]/g, " ").toLowerCase();
  return text.charAt(0).toUpperCase() + text.slice(1);
}
