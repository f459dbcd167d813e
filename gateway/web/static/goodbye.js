import { get, post, remove, session } from "./api.js";
import { recently } from "./again.js";
import { card, closer, dialog, form, h, problem, when, words } from "./dom.js";
import { hear } from "./facts.js";

const LOOK_AGAIN = 1000;
const LOOKS = 120;
const LATER = "Delete my account";
const FOR_GOOD = "Delete for good";

export function goodbye(user) {
  return card("Delete your account",
    h("p", {}, "We erase what we hold on you, everywhere, and prove it with a receipt. Points are forfeited."),
    form([], "Delete my account…", () => confirmDeletion(user), { class: "danger" }));
}

// At the head of an account that is going: when, and how it stays.
export function leaving(user) {
  const place = h("div", { class: "notice" });
  const show = async () => {
    const me = await get(`/v1/${user}`);
    const shown = place.querySelector("form");
    if (me.state === "PENDING_DELETION") {
      if (!shown) place.replaceChildren(going(me, show));
      return;
    }
    if (!shown) return;
    const stays = h("p", { class: "done", tabindex: "-1" }, "Your account stays.");
    const hadFocus = place.contains(document.activeElement);
    place.replaceChildren(stays);
    if (hadFocus) stays.focus();
  };
  hear("rapport.identity.v1.User", () => show().catch((error) => place.replaceChildren(problem(error))))();
  return place;
}

function going(me, show) {
  const panel = card("Your account will be deleted",
    h("p", {}, "On ", h("strong", {}, when(me.purgeTime)), " it is erased, with everything in it. Until then nothing is lost."),
    form([], "Keep my account", async () => {
      await post(`/v1/${me.name}:undelete`);
      await show();
    }));
  panel.classList.add("accent");
  return panel;
}

// What would happen is asked of the server, which knows the day.
async function confirmDeletion(user) {
  const told = await recently(() => remove(`/v1/${user}?validateOnly=true`));
  if (!told) return;
  const keep = closer("Keep my account");
  keep.autofocus = true; // what may not be undone is not under the first key pressed
  const waits = told.state === "PENDING_DELETION";
  const day = h("p", {});
  const box = h("input", { type: "checkbox", name: "atOnce", onchange: () => say() });
  const say = () => {
    const isWait = waits && !box.checked;
    submit.textContent = isWait ? LATER : FOR_GOOD;
    day.replaceChildren(...(isWait ? ["Everything is erased on ", h("strong", {}, when(told.purgeTime)), ". Until then you can sign in and keep it; we mail you how."]
      : ["Everything is erased now. Nothing brings it back."]));
  };
  const asked = form([waits && h("label", { class: "check" }, box, "At once: there is no way back")], FOR_GOOD, async ({ atOnce }) => {
    const gone = await recently(() => remove(`/v1/${user}${atOnce ? "?skipCoolingOff=true" : ""}`));
    if (!gone) return;
    if (gone.state === "PENDING_DELETION") showDay(dialogue, gone.purgeTime);
    else showReceipt(dialogue, gone.erasure);
    session.become(null);
  }, { class: "danger", beside: keep });
  const submit = asked.querySelector("button");
  say();
  const dialogue = dialog("Delete your account?",
    h("p", {}, "Your profile, orders, tickets and points go. You are signed out everywhere now, and apps lose their access."),
    day, asked);
}

function showDay(box, purgeTime) {
  const [title] = box.children;
  title.textContent = "Your account will be deleted";
  box.replaceChildren(title, h("p", {}, "It is erased on ", h("strong", {}, when(purgeTime)), ". To keep it, sign in before then. We mailed you how."),
    h("div", { class: "actions" }, closer("Done")));
  title.tabIndex = -1; // the button that had the focus is gone
  title.focus();
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
