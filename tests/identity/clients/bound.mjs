// A program that acts for itself with a token bound to a key of its own, and says the nonces it is asked for: told what to
// do on stdin, it tells what came of it on stdout.
import * as oauth from "oauth4webapi";
import { next, tell } from "./lines.mjs";

const { issuer, id, secret, skew, path, body } = await next();
const plain = { [oauth.allowInsecureRequests]: true };
const where = new URL(issuer);
const server = await oauth.processDiscoveryResponse(where, await oauth.discoveryRequest(where, plain));
const client = { client_id: id, [oauth.clockSkew]: skew }; // the store may run on a clock of its own
const proof = oauth.ClientSecretBasic(secret);
let asked = 0;

// Ask, and once more where the answer brings the nonce that the proof has to say.
async function again(ask) {
  try {
    return await ask();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    asked += 1;
    return await ask();
  }
}

const key = await oauth.generateKeyPair("ES256");
const signed = { ...plain, DPoP: oauth.DPoP(client, key) };
const tokens = await again(async () => {
  const granted = await oauth.clientCredentialsGrantRequest(server, client, proof, {}, signed);
  return await oauth.processClientCredentialsResponse(server, client, granted);
});

async function called(how) {
  const headers = new Headers({ "content-type": "application/json" });
  const url = new URL(path, issuer);
  const answer = await oauth.protectedResourceRequest(tokens.access_token, "POST", url, headers, body, how);
  return (await answer.json()).reason;
}

const known = await again(() => called(signed));
// As if it had been started again: it knows of no nonce.
const anew = { ...plain, DPoP: oauth.DPoP(client, key) };
const fresh = await again(() => called(anew));
tell({ type: tokens.token_type, asked, known, fresh });
