// The public API, as any frontend would call it.

export class Refused extends Error {
  constructor(problem) {
    super(problem.detail);
    Object.assign(this, problem);
  }
}

async function call(method, path, body, headers = {}) {
  const sent = { method, headers: { "x-rapport-client": "help-centre", ...headers }, credentials: "same-origin" };
  if (body !== undefined) {
    sent.headers["content-type"] = "application/json";
    sent.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, sent);
  } catch {
    throw new Refused({ detail: "We cannot be reached. Check your connection and try again.", reason: "OFFLINE" });
  }
  if (response.status === 204) return null;
  const text = await response.text();
  const answer = text ? JSON.parse(text) : {};
  if (!response.ok) throw new Refused(answer);
  return answer;
}

export const get = (path) => call("GET", path);
export const remove = (path) => call("DELETE", path);
export const patch = (path, body, etag) => call("PATCH", path, body, etag ? { "if-match": `"${etag}"` } : {});
// One key for one intention: pressing twice, or a retry after a lost answer, does it once.
export const post = (path, body = {}, key) => call("POST", path, body, key ? { "idempotency-key": key } : {});
export const newKey = () => crypto.randomUUID();

// Who is signed in, for every component; `null` for nobody.
export const session = {
  current: undefined,
  async load() {
    try {
      this.current = await get("/session");
    } catch (error) {
      if (error.status !== 401) throw error;
      this.current = null;
    }
    document.dispatchEvent(new CustomEvent("session"));
  },
  async signIn(email, password) {
    this.current = await post("/session", { email, password });
    document.dispatchEvent(new CustomEvent("session"));
  },
  async signOut() {
    await remove("/session");
    this.current = null;
    document.dispatchEvent(new CustomEvent("session"));
  },
};

// The person's own events. The browser reconnects by itself and says where it was: nothing is missed or heard twice.
export function listen() {
  const source = new EventSource("/events");
  source.addEventListener("fact", (event) => {
    document.dispatchEvent(new CustomEvent("fact", { detail: JSON.parse(event.data) }));
  });
  return source;
}
