import { get } from "./api.js";

const SHOWN = ["email", "displayName", "shippingAddress", "billingAddress", "business"];

// Does what a person decided on `me` as it was shown. Where the etag is another by now but everything shown is the same, it
// was no change by somebody else, but, say, mail that came back: then it is done all the same.
export async function asShown(me, act) {
  try {
    return await act(me.etag);
  } catch (error) {
    const fresh = error.reason === "ETAG_MISMATCH" && await get(`/v1/${me.name}`);
    if (!fresh || SHOWN.some((field) => JSON.stringify(fresh[field]) !== JSON.stringify(me[field]))) throw error;
    return act(fresh.etag);
  }
}
