import { get } from "./api.js";
import { count, day, h, lastMoment, problem } from "./dom.js";

// Where a member stands, and how far the next tier is; nothing, where the store has no tiers.
export async function tier(user) {
  let found;
  try {
    found = await get(`/v1/${user}/tier`);
  } catch (error) {
    if (error.reason === "TIERS_NOT_SET") return [];
    return [problem(error)];
  }
  const { title, endTime, inGrace, nextTier, qualifyingPoints, nextTierPoints, periodEndTime } = found;
  const [has, lacks] = [Number(qualifyingPoints), Number(nextTierPoints)];
  const kept = endTime && h("small", {}, inGrace ? "its time is over: this is the grace" : ["at least until ", day(lastMoment(endTime))]);
  const label = [count(lacks), " more by ", day(lastMoment(periodEndTime)), " for ", capital(nextTier)];
  const bar = h("progress", { max: has + lacks, value: has, "aria-label": `${count(has)} of ${count(has + lacks)} points` });
  return [h("h4", {}, "Your tier"), h("p", { class: "tier" }, h("strong", {}, title), kept),
    nextTier ? [bar, h("p", { class: "note" }, label)] : h("p", { class: "note" }, "There is none above it.")].flat();
}

const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);
