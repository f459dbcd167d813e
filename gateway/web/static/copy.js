import { get, post } from "./api.js";
import { recently } from "./again.js";
import { card, form, h, words } from "./dom.js";

// What every part of the store holds on this person: to see, and to take away.
export function copy(user) {
  const shown = h("div", {});
  const makeExport = (key) => recently(() => post(`/v1/${user}/exports`, {}, key));
  return card("What we hold on you",
    h("p", {}, "Everything that every part of the store holds on you: here to read, or as one machine-readable file."),
    h("div", { class: "actions" },
      form([], "Show it here", async (_, key) => {
        const made = await makeExport(key);
        if (!made) return "";
        const { holders } = await get(`/v1/${made.name}:download`);
        shown.replaceChildren(...Object.entries(holders).flatMap(([holder, tables]) => part(holder, tables)));
        return "Here it is.";
      }),
      form([], "Download it", async (_, key) => {
        const made = await makeExport(key);
        if (!made) return "";
        h("a", { href: `/v1/${made.name}:download`, download: "my-data.json" }).click();
        return "Your download begins.";
      }, { class: "quiet" })),
    shown);
}

function part(holder, tables) {
  return [h("h4", {}, words(holder)), ...Object.entries(tables).filter(([, rows]) => rows.length).map(([table, rows]) =>
    h("details", { class: "answer" },
      h("summary", {}, h("span", {}, words(table)), h("span", { class: "badge" }, String(rows.length))),
      rows.map((row) => h("dl", { class: "held" }, Object.entries(row).map(cell)))))];
}

function cell([column, { value }]) {
  const text = value === null || value === "" || value?.length === 0 ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value);
  return h("div", {}, h("dt", {}, words(column)), h("dd", {}, text.length > 300 ? `${text.slice(0, 300)}…` : text));
}
