// A program that signs people in with openid-client: told what to do on stdin, it tells what came of it on stdout.
import * as client from "openid-client";
import { next, tell } from "./lines.mjs";

const { issuer, id, secret, redirect, after, scope } = await next();
const proof = secret ? client.ClientSecretBasic(secret) : client.None();
const config = await client.discovery(new URL(issuer), id, undefined, proof, {
  execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
});
const verifier = client.randomPKCECodeVerifier();
const [state, nonce] = [client.randomState(), client.randomNonce()];
const url = client.buildAuthorizationUrl(config, {
  redirect_uri: redirect,
  scope,
  state,
  nonce,
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
});
tell({ url: url.href });

const { callback } = await next();
const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
const tokens = await client.authorizationCodeGrant(config, new URL(callback), checks);
const { sub } = tokens.claims();
const known = await client.fetchUserInfo(config, tokens.access_token, sub);
const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token);
const again = await client.fetchUserInfo(config, refreshed.access_token, sub);
const asked = secret ? await client.tokenIntrospection(config, refreshed.access_token) : undefined;
const out = client.buildEndSessionUrl(config, { post_logout_redirect_uri: after, id_token_hint: tokens.id_token });
await client.tokenRevocation(config, refreshed.refresh_token);
const left = await client.fetchUserInfo(config, refreshed.access_token, sub).then(
  () => "good",
  (error) => error.cause?.[0]?.parameters?.error ?? String(error),
);
tell({
  sub,
  email: known.email,
  again: again.sub,
  rotated: refreshed.refresh_token !== tokens.refresh_token,
  active: asked?.active,
  left,
  out: out.href,
});
