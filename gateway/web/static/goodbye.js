import { get, remove, session } from "./api.js";
import { recently } from "./again.js";
import { card, closer, dialog, form, h, problem, words } from "./dom.js";

const LOOK_AGAIN = 1000;
const LOOKS = 120;

export function goodbye(user) {
  return card("Delete your account",
    h("p", {}, "We erase what we hold on you, everywhere, and prove it with a receipt. Points are forfeited. This cannot be undone."),
    h("div", { class: "actions" }, h("button", { class: "danger", onclick: () => confirmDeletion(user) }, "Delete my account…")));
}

function confirmDeletion(user) {
  const keep = closer("Keep my account");
  keep.autofocus = true; // what cannot be undone is not under the first key pressed
  const box = dialog("Delete your account?",
    h("p", {}, "Your profile, orders, tickets and points go. You are signed out everywhere."),
    form([], "Delete for good", async () => {
      const gone = await recently(() => remove(`/v1/${user}`));
      if (!gone) return;
      showReceipt(box, gone.erasure);
      session.become(null);
    }, { class: "danger", beside: keep }));
}

function showReceipt(box, erasure) {
  const [title] = box.children;
  const progress = h("div", { role: "status" });
  title.textContent = "Your account is being erased";
  box.replaceChildren(title, h("p", {}, "This is your receipt. It names nobody, and says which part of the store erased how much."),
    progress, h("div", { class: "actions" }, h("a", { class: "button", href: `/v1/${erasure}`, download: "receipt.json" }, "Save the receipt"), closer("Done")));
  title.tabIndex = -1; // the button that had the focus is gone
  title.focus();
  follow(erasure, title, progress, box);
}

// Until it is complete, or the person has seen enough.
async function follow(erasure, title, progress, box) {
  for (let look = 0; look < LOOKS && box.isConnected; look++) {
    try {
      const { state, answers } = await get(`/v1/${erasure}`);
      const rows = (outcomes) => outcomes.reduce((sum, one) => sum + Number(one.rows), 0);
      progress.replaceChildren(h("ul", { class: "rows" }, answers.map(({ holder, doneTime, verifyTime, outcomes }) => h("li", { class: "row" },
        h("span", {}, words(holder.split("/")[1])),
        h("span", { class: "badge" }, verifyTime ? `Erased and checked: ${rows(outcomes)}` : doneTime ? `Erased: ${rows(outcomes)}` : "Waiting")))));
      if (state === "COMPLETED") {
        title.textContent = "Your account is erased";
        return;
      }
    } catch (error) {
      progress.replaceChildren(problem(error));
    }
    await new Promise((resolve) => { setTimeout(resolve, LOOK_AGAIN); });
  }
}
