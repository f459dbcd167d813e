// What people prove themselves with besides a password: an app that shows codes, codes on paper, the devices that are not
// asked, and passkeys.
import { get, list, patch, post, remove } from "./api.js";
import { recently } from "./again.js";
import { card, closer, day, dialog, field, form, h, problem, when } from "./dom.js";
import { hear } from "./facts.js";
import { arePossible, create } from "./passkeys.js";

export function factors(user) {
  const steps = h("div", {});
  const keys = h("div", {});
  const show = async () => {
    try {
      const told = await get(`/v1/${user}/factors`);
      const apps = told.factors.filter(({ kind }) => kind === "TOTP");
      const devices = apps.length ? await list(`/v1/${user}/devices`, "devices") : [];
      steps.replaceChildren(...(apps.length ? present(user, apps, told.recoveryCodesLeft, devices, show) : absent(user, show)));
      keys.replaceChildren(...passkeys(user, told.factors.filter(({ kind }) => kind === "PASSKEY"), show));
    } catch (error) {
      steps.replaceChildren(problem(error));
    }
  };
  hear("rapport.identity.", show)();
  return [card("Two-step sign-in", steps), card("Passkeys", keys)];
}

function absent(user, show) {
  return [
    h("p", { class: "note" }, "Who learns your password cannot sign in without your phone: an app on it shows a code for every sign-in."),
    form([], "Add an app…", async () => {
      const begun = await recently(() => post(`/v1/${user}/factors:beginTotp`));
      if (begun) add(begun, show);
    }),
  ];
}

function present(user, apps, left, devices, show) {
  return [
    h("ul", { class: "rows" },
      apps.map((one) => row(["An app that shows codes", h("small", {}, "since ", day(one.createTime))], removal(one, show))),
      row(["Recovery codes", h("small", {}, left === 1 ? "1 is left" : `${left} are left`)],
        form([], "Make new ones", async () => {
          const made = await recently(() => post(`/v1/${user}/recoveryCodes:replace`));
          if (!made) return;
          keep(dialog("Your new recovery codes"), made.recoveryCodes);
          await show();
        }, { class: "quiet" })),
      devices.map((one) => row([one.title, h("small", {}, one.trustExpireTime ? "not asked until " : "known since ", day(one.trustExpireTime ?? one.createTime), ", last used ", when(one.lastUseTime))],
        form([], "Forget", async () => {
          await remove(`/v1/${one.name}`);
          await show();
        }, { class: "quiet" })))),
  ];
}

function passkeys(user, found, show) {
  return [
    h("p", { class: "note" }, "Sign in with your finger, your face or the lock of your device, without a password."),
    found.length > 0 && h("ul", { class: "rows" }, found.map((one) => row(
      [one.title || "A passkey", one.suspect && h("span", { class: "badge" }, "May be copied: remove it"), h("small", {}, "since ", day(one.createTime), one.lastUseTime && ", last used ", one.lastUseTime && when(one.lastUseTime))],
      h("button", { class: "quiet", onclick: () => rename(one, show), "aria-label": `Rename ${one.title || "this passkey"}` }, "Rename"), removal(one, show)))),
    arePossible() ? form([], "Add a passkey…", async () => {
      const begun = await recently(() => post(`/v1/${user}/factors:beginPasskey`));
      const credential = begun && await create(begun.options);
      if (!credential) return "";
      await post(`/v1/${user}/factors:addPasskey`, { credential, title: `Passkey ${found.length + 1}` });
      await show();
      return "";
    }) : h("p", { class: "note" }, "This browser can use none."),
  ].filter(Boolean);
}

const row = (what, ...buttons) => h("li", { class: "row" }, h("p", {}, what), h("div", { class: "actions" }, buttons));

function removal(one, show) {
  return form([], "Remove", async () => {
    if (await recently(() => remove(`/v1/${one.name}`))) await show();
  }, { class: "quiet" });
}

function rename(one, show) {
  const box = dialog("What do you call it?", form([
    field("Title", { name: "title", value: one.title, required: true, maxlength: 100 }),
  ], "Save", async ({ title }) => {
    await patch(`/v1/${one.name}`, { title });
    box.close();
    await show();
  }, { beside: closer("Cancel") }));
}

function add(begun, show) {
  const picture = URL.createObjectURL(new Blob([begun.qrCode], { type: "image/svg+xml" }));
  const box = dialog("Add an app that shows codes",
    h("p", {}, "Scan this with an authenticator app, or type the key into it."),
    h("img", { class: "qr", src: picture, alt: "A QR code that holds the key below" }),
    h("p", {}, h("code", { class: "key" }, begun.secret.match(/.{4}/g).join(" "))),
    form([
      field("Code", { name: "code", required: true, maxlength: 20, inputmode: "numeric", autocomplete: "one-time-code" }, "The six digits it shows now."),
    ], "Add it", async ({ code }) => {
      const { recoveryCodes } = await post(`/v1/${begun.name}:confirmTotp`, { code });
      keep(box, recoveryCodes);
      await show();
    }, { beside: closer("Cancel") }));
  box.addEventListener("close", () => URL.revokeObjectURL(picture));
}

// What is shown this once. The title stays, so that the dialog keeps its name.
function keep(box, codes) {
  const [title] = box.children;
  const file = URL.createObjectURL(new Blob([`${codes.join("\n")}\n`], { type: "text/plain" }));
  title.textContent = "Keep these recovery codes";
  box.replaceChildren(title,
    h("p", {}, "If you lose your phone, each of them signs you in once. Keep them where your phone is not: you see them only now."),
    h("ul", { class: "codes" }, codes.map((code) => h("li", {}, h("code", {}, code)))),
    h("div", { class: "actions" }, h("a", { class: "button", href: file, download: "recovery-codes.txt" }, "Download them"), closer("I have kept them")));
  title.tabIndex = -1; // the button that had the focus is gone
  title.focus();
  box.addEventListener("close", () => URL.revokeObjectURL(file));
}
