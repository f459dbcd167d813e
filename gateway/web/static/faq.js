import { get, list } from "./api.js";
import { h, problem } from "./dom.js";

// Answers while one types. Without scripts the same form asks the server for the page.
const input = document.getElementById("q");
const answers = document.getElementById("answers");
const title = document.getElementById("faq-title");
const count = document.getElementById("count");
let asked = 0;
let timer;

function entry(article) {
  const paragraphs = article.body.split(/\n\s*\n/).map((text) => h("p", {}, text));
  return h("details", { class: "answer", id: article.name.split("/").at(-1) }, h("summary", {}, article.title), paragraphs);
}

function shelf(heading, articles) {
  return h("section", { class: "shelf" }, heading && h("h3", {}, heading), articles.map(entry));
}

async function everything() {
  const [categories, articles] = await Promise.all([list("/v1/categories", "categories"), list("/v1/categories/-/articles", "articles")]);
  return categories.map(({ name, title: heading }) => shelf(heading, articles.filter((one) => one.name.startsWith(`${name}/`))));
}

async function found(query) {
  const { articles } = await get(`/v1/articles:search?query=${encodeURIComponent(query)}`);
  return articles;
}

async function search() {
  const query = input.value.trim();
  const mine = ++asked;
  try {
    const hits = query && await found(query);
    const shown = query ? (hits.length ? [shelf("", hits)] : []) : await everything();
    if (mine !== asked) return; // a later question has been asked meanwhile
    answers.replaceChildren(...shown);
    title.textContent = query ? "Answers" : "FAQs";
    count.textContent = !query ? "" : hits.length
      ? `${hits.length} ${hits.length === 1 ? "answer" : "answers"} for “${query}”`
      : `Nothing found for “${query}”. Try another word, or sign in below and choose “Get help” on your order.`;
    history.replaceState(null, "", query ? `/?q=${encodeURIComponent(query)}` : "/");
  } catch (error) {
    if (mine === asked) count.replaceChildren(problem(error));
  }
}

// A link to an answer opens it.
function openLinked() {
  const linked = document.getElementById(location.hash.slice(1));
  if (linked?.matches("details")) linked.open = true;
}

input.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(search, 200);
});
document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(timer);
  search();
});
window.addEventListener("hashchange", openLinked);
openLinked();
