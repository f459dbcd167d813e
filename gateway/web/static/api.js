// The public API, as any frontend would call it.

export class Refused extends Error {
  constructor(problem) {
    super(problem.detail);
    Object.assign(this, problem);
  }
}

// What was answered to words in which a card number was hidden.
const masked = new WeakSet();
export const hidCard = (told) => masked.has(told);

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
  if (response.ok) {
    const told = response.status === 204 ? null : await response.json();
    if (response.headers.has("rapport-masked")) masked.add(told);
    return told;
  }
  const problem = response.headers.get("content-type")?.includes("json") ? await response.json() : {
    status: response.status, detail: "That did not work just now. Please try again in a moment.", requestId: response.headers.get("x-request-id"),
  };
  if (["SIGN_IN_NEEDED", "TOKEN_INVALID"].includes(problem.reason) && path !== "/session") session.become(null);
  throw new Refused(problem);
}

export const get = (path) => call("GET", path);
export const remove = (path) => call("DELETE", path);
export const patch = (path, body, etag) => call("PATCH", path, body, etag ? { "if-match": `"${etag}"` } : {});
// One key for one intention: pressing twice, or a retry after a lost answer, does it once.
export const post = (path, body = {}, key) => call("POST", path, body, key ? { "idempotency-key": key } : {});
export const newKey = () => crypto.randomUUID();

// All of a list, page after page, up to a bound.
export async function list(path, field, most = 1000) {
  const found = [];
  let token = "";
  do {
    const page = await get(`${path}${path.includes("?") ? "" : "?"}pageSize=200&pageToken=${encodeURIComponent(token)}`);
    found.push(...page[field]);
    token = page.nextPageToken;
  } while (token && found.length < most);
  return found;
}

// Who is signed in, for every component: `null` for nobody, and a "session" event when that changes.
export const session = {
  current: null,
  become(person) {
    const changed = person?.session !== this.current?.session;
    this.current = person;
    if (changed) document.dispatchEvent(new CustomEvent("session"));
  },
  async load() {
    try {
      this.become(await get("/session"));
    } catch (error) {
      if (error.status !== 401) throw error;
      this.become(null);
    }
  },
  // What is missing where the account has a second factor; nothing where the person is signed in.
  async signIn(email, password) {
    const told = await post("/session", { email, password });
    if (told.secondFactor) return told.secondFactor;
    this.become(told);
    return null;
  },
  async goOn(challenge, proof, trustDevice) {
    this.become(await post("/session/factor", { challenge, ...proof, trustDevice }));
  },
  async usePasskey(credential) {
    this.become(await post("/session/passkey", { credential }));
  },
  // The same person in the same session, proven just now: nothing on the page changes hands.
  async proveAgain(proof) {
    this.current = await post("/session/proof", proof);
  },
  async signOut() {
    await remove("/session");
    this.become(null);
  },
};
