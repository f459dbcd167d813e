// A program that signs people in with oauth4webapi, and an API that takes its tokens with the same: told what to do on
// stdin, it tells what came of it on stdout.
import * as oauth from "oauth4webapi";
import { next, tell } from "./lines.mjs";

const { issuer, id, secret, redirect, after, scope } = await next();
const plain = { [oauth.allowInsecureRequests]: true };
const where = new URL(issuer);
const server = await oauth.processDiscoveryResponse(where, await oauth.discoveryRequest(where, plain));
const client = { client_id: id };
const proof = secret ? oauth.ClientSecretPost(secret) : oauth.None();
const verifier = oauth.generateRandomCodeVerifier();
const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
const url = new URL(server.authorization_endpoint);
url.search = new URLSearchParams({
  client_id: id,
  redirect_uri: redirect,
  response_type: "code",
  scope,
  state,
  nonce,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
});
tell({ url: url.href });

const { callback } = await next();
const answered = oauth.validateAuthResponse(server, client, new URL(callback), state);
const grant = await oauth.authorizationCodeGrantRequest(server, client, proof, answered, redirect, verifier, plain);
const tokens = await oauth.processAuthorizationCodeResponse(server, client, grant, {
  expectedNonce: nonce,
  requireIdToken: true,
});
await oauth.validateApplicationLevelSignature(server, grant, plain);
const { sub } = oauth.getValidatedIdTokenClaims(tokens);
const userinfo = await oauth.userInfoRequest(server, client, tokens.access_token, plain);
const known = await oauth.processUserInfoResponse(server, client, sub, userinfo);
const refresh = await oauth.refreshTokenGrantRequest(server, client, proof, tokens.refresh_token, plain);
const refreshed = await oauth.processRefreshTokenResponse(server, client, refresh);

// An API's side of it (RFC 9068).
const headers = { authorization: `Bearer ${refreshed.access_token}` };
const seen = await oauth.validateJwtAccessToken(server, new Request(issuer, { headers }), "rapport", {
  ...plain,
  signingAlgorithms: ["Ed25519"],
});

let asked;
if (secret) {
  const introspection = await oauth.introspectionRequest(server, client, proof, refreshed.access_token, plain);
  asked = await oauth.processIntrospectionResponse(server, client, introspection);
}
const revocation = await oauth.revocationRequest(server, client, proof, refreshed.refresh_token, plain);
await oauth.processRevocationResponse(revocation);
const left = await oauth.userInfoRequest(server, client, refreshed.access_token, plain);
const out = new URL(server.end_session_endpoint);
out.search = new URLSearchParams({ post_logout_redirect_uri: after, id_token_hint: tokens.id_token });
tell({
  sub,
  email: known.email,
  again: seen.sub,
  rotated: refreshed.refresh_token !== tokens.refresh_token,
  active: asked?.active,
  left: left.status === 401 ? "invalid_token" : "good",
  out: out.href,
});
