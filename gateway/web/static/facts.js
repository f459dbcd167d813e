// The person's own events, as they come: whoever shows something hears when to look again.
import { session } from "./api.js";

const LATER = 5000;
let source;
let timer;
let hearers = [];

// Calls `look` after every event whose type begins so, and when the line is there (again): what was said before it was, or
// could not be fetched then, is not missed. Asked while it looks, it looks once more afterwards.
export function hear(prefix, look) {
  let looking = false;
  let again = false;
  const refresh = async () => {
    again = true;
    if (looking) return;
    looking = true;
    try {
      while (again) {
        again = false;
        await look();
      }
    } finally {
      looking = false;
    }
  };
  hearers.push({ prefix, refresh });
  return refresh;
}

export function listen() {
  source = new EventSource("/events");
  source.addEventListener("fact", (event) => {
    const { type } = JSON.parse(event.data);
    for (const { prefix, refresh } of hearers) if (type.startsWith(prefix)) refresh();
  });
  source.addEventListener("open", lookAgain);
  // The browser comes back by itself, and says where it was. Only a refusal ends it.
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) comeBack();
  });
}

function lookAgain() {
  for (const { refresh } of hearers) refresh();
}

window.addEventListener("online", lookAgain);

async function comeBack() {
  const { current } = session;
  try {
    await session.load();
  } catch {
    // Not to be told now: asked again below.
  }
  if (session.current !== current && session.current?.session !== current?.session) return;
  timer = setTimeout(listen, LATER);
}

export function stopListening() {
  clearTimeout(timer);
  source?.close();
  hearers = [];
}
