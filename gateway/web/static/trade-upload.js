// Documents go up in pieces: what the API takes at once is less than a document may be.
import { post, remove } from "./api.js";
import { field, form } from "./dom.js";

const MOST = 2 << 20;
const PIECE = 512 << 10;

// The form that adds a document to those that `held` shows, which also gets a way to remove one.
export function upload(business, held) {
  held.remover = (one) => form([], "Remove", async () => {
    await remove(`/v1/${one.name}`);
    await held.show();
  }, { class: "quiet" });
  const element = form([
    field("Add a document", { type: "file", name: "file", required: true, accept: "application/pdf,image/jpeg,image/png" },
      "An entry in a register, a licence to trade. PDF, JPEG or PNG, at most 2 MB; five in all."),
  ], "Add it", async ({ file }, key) => {
    if (file.size > MOST) throw { detail: "The file is larger than 2 MB. Choose a smaller one." };
    const { name } = await post(`/v1/${business.name}/documents`, { document: { title: file.name.slice(0, 200), sizeBytes: file.size } }, key);
    try {
      for (let at = 0; at < file.size; at += PIECE) {
        await post(`/v1/${name}:append`, { offsetBytes: at, content: await base64(file.slice(at, at + PIECE)) });
      }
    } catch (error) {
      await remove(`/v1/${name}`);
      throw error;
    }
    element.reset();
    await held.show();
    return "Added.";
  }, { class: "quiet" });
  return element;
}

// Through a reader, which takes half a megabyte at once where a list of characters would not.
function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.split(",")[1]));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(blob);
  });
}
