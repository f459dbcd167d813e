import { get } from "./api.js";
import { h } from "./dom.js";

// Answers while one types. Without scripts the same form asks the server for the page.
const input = document.getElementById("q");
const answers = document.getElementById("answers");
const title = document.getElementById("faq-title");
const shelves = [...answers.childNodes];
let asked = 0;
let timer;

function entry(article) {
  const paragraphs = article.body.split(/\n\s*\n/).map((text) => h("p", {}, text));
  return h("details", { class: "answer" }, h("summary", {}, article.title), paragraphs);
}

async function search() {
  const query = input.value.trim();
  const mine = ++asked;
  if (!query) {
    title.textContent = "FAQs";
    answers.replaceChildren(...shelves);
    return;
  }
  const { articles } = await get(`/v1/articles:search?query=${encodeURIComponent(query)}`);
  if (mine !== asked) return; // a later question has been asked meanwhile
  title.textContent = "Answers";
  answers.replaceChildren(...(articles.length
    ? articles.map(entry)
    : [h("p", {}, "Nothing found for that. Sign in below and ask us about your order.")]));
}

input.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(search, 200);
});
document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
