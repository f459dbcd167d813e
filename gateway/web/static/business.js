// What the pages of applicants and of reviewers both say of a business.
import { list } from "./api.js";
import { h, problem, when } from "./dom.js";

export const KINDS = { WHOLESALER: "Wholesaler", DROPSHIPPER: "Dropshipper", AFFILIATE: "Affiliate" };
export const STATES = { DRAFT: "Draft", SUBMITTED: "With us", NEEDS_INFO: "Your turn", APPROVED: "Approved", REFUSED: "Not approved", SUSPENDED: "Suspended" };
export const ROLES = { VIEWER: "Viewer", MANAGER: "Manager", OWNER: "Owner" };
export const REASONS = {
  NOT_PROVEN: "It is not shown that the business exists",
  DOES_NOT_MATCH: "Company, country, tax id and documents do not belong together",
  DOCUMENT_UNREADABLE: "A document cannot be read",
  WEBSITE_DOES_NOT_MATCH: "The website does not lead to the business",
  NOT_SERVED: "We do not trade there, or not in that",
  DUPLICATE: "The business is with us already",
  AGAINST_TERMS: "What it does is against our terms",
};

const size = (bytes) => bytes < 1 << 20 ? `${Math.ceil(bytes / 1024)} KB` : `${(bytes / (1 << 20)).toFixed(1)} MB`;

// The documents of a business, each to be saved; `more(document)` is what stands beside one.
export function documents(business, more = () => null) {
  const rows = h("ul", { class: "rows" });
  const show = async () => {
    try {
      const found = (await list(`/v1/${business.name}/documents`, "documents")).filter((one) => one.receivedBytes === one.sizeBytes);
      rows.replaceChildren(...found.map((one) => h("li", { class: "row" },
        h("p", {}, h("a", { href: `/v1/${one.name}:download`, download: fileName(one) }, one.title),
          h("small", {}, `${size(one.sizeBytes)} · `, when(one.createTime))), more(one))),
      ...(found.length ? [] : [h("li", { class: "note" }, "No documents.")]));
    } catch (error) {
      rows.replaceChildren(h("li", {}, problem(error)));
    }
  };
  show();
  return { element: rows, show };
}

const ENDINGS = { "application/pdf": ".pdf", "image/jpeg": ".jpg", "image/png": ".png" };

function fileName({ title, contentType }) {
  const ending = ENDINGS[contentType] ?? "";
  return title.toLowerCase().endsWith(ending) ? title : `${title}${ending}`;
}

// Why it stands as it does, in the reviewer's words.
export function review({ reasons, reviewText }) {
  return [
    reasons.length > 0 && h("ul", { class: "reasons-given" }, reasons.map((one) => h("li", {}, REASONS[one]))),
    reviewText && h("blockquote", { class: "quote" }, reviewText),
  ];
}
