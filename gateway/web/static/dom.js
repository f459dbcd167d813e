// Elements built in code: text is always text, never markup.

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

let fields = 0;

export function field(label, attributes = {}, hint = "") {
  const id = `field-${++fields}`;
  const tag = attributes.tag ?? "input";
  const { tag: _, options, ...rest } = attributes;
  const control = h(tag, { id, ...rest, "aria-describedby": hint ? `${id}-hint` : null },
    (options ?? []).map(([value, text]) => h("option", { value }, text)));
  return h("div", { class: "field" }, h("label", { for: id }, label), control, hint && h("p", { class: "hint", id: `${id}-hint` }, hint));
}

// A form that says what went wrong beside the button, and cannot be sent twice at once.
export function form(children, button, send, attributes = {}) {
  const said = h("div", { role: "status", "aria-live": "polite" });
  const submit = h("button", { class: attributes.class }, button);
  const made = h("form", { novalidate: false, onsubmit: async (event) => {
    event.preventDefault();
    submit.disabled = true;
    said.replaceChildren();
    try {
      const done = await send(Object.fromEntries(new FormData(made)), made);
      if (done) said.replaceChildren(h("p", { class: "done" }, done));
    } catch (error) {
      said.replaceChildren(problem(error));
    } finally {
      submit.disabled = false;
    }
  } }, ...children, submit, said);
  return made;
}

export function problem(error) {
  const details = (error.errors ?? []).map((one) => one.detail).join(" ");
  return h("p", { class: "error" }, error.detail ?? "That did not work.", details ? ` ${details}` : "",
    error.requestId && h("small", {}, `If you ask us about it: ${error.requestId}`));
}

export function when(time) {
  return new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit" }).format(new Date(time));
}

export function money(amount) {
  if (!amount) return "";
  const value = Number(amount.units ?? 0) + (amount.nanos ?? 0) / 1e9;
  return new Intl.NumberFormat(undefined, { style: "currency", currency: amount.currencyCode || "USD" }).format(value);
}

export function words(constant) {
  const text = constant.replaceAll("_", " ").toLowerCase();
  return text[0].toUpperCase() + text.slice(1);
}
