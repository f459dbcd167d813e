"""What the Config plan asks of what a provider says of itself."""

from tests.identity.conformance.party import Party
from tests.identity.conformance.plans import BACK_CHANNEL, CONFIG, RP_LOGOUT, module

SECURE = "https://store.example.org"


@module("oidcc-discovery-endpoint-verification", CONFIG)
async def a_provider_says_what_it_is(rp: Party) -> None:
    """At a secure address: the local one is none, because it is this machine's."""
    with rp.store.gateway(public_url=SECURE) as gateway:
        async with gateway.http() as http:
            answer = await http.get("/.well-known/openid-configuration")
            keys = (await http.get("/oauth/jwks")).json()["keys"]
    said = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert said["issuer"] == SECURE
    endpoints = {name: said[name] for name in said if name.endswith(("_endpoint", "_uri"))}
    assert {"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"} <= set(endpoints)
    assert all(uri.startswith(f"{SECURE}/") for uri in endpoints.values())
    assert said["response_types_supported"] == ["code"]
    assert said["subject_types_supported"] == ["public"]
    assert "RS256" in said["id_token_signing_alg_values_supported"]
    assert "none" not in said["id_token_signing_alg_values_supported"]
    assert "openid" in said["scopes_supported"]
    assert {"authorization_code", "refresh_token"} <= set(said["grant_types_supported"])
    assert not {"implicit", "password"} & set(said["grant_types_supported"])
    assert {"sub", "iss", "auth_time", "acr", "name", "email"} <= set(said["claims_supported"])
    assert (said["claims_parameter_supported"], said["request_parameter_supported"]) == (True, False)
    assert said["request_uri_parameter_supported"] is False
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert {"client_secret_basic", "client_secret_post"} <= set(said["token_endpoint_auth_methods_supported"])
    assert any(key["kty"] == "RSA" and key["use"] == "sig" for key in keys)
    assert all(key["kid"] and not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key) for key in keys)


@module("oidcc-rp-initiated-logout-discovery-endpoint-verification", RP_LOGOUT)
async def a_provider_says_where_people_are_signed_out(rp: Party) -> None:
    said = await rp.discovered()
    assert said["end_session_endpoint"] == f"{said['issuer']}/oauth/end-session"


@module("oidcc-backchannel-logout-discovery-endpoint-verification", BACK_CHANNEL)
async def a_provider_says_that_it_tells_clients_of_sign_outs(rp: Party) -> None:
    said = await rp.discovered()
    assert said["end_session_endpoint"]
    assert (said["backchannel_logout_supported"], said["backchannel_logout_session_supported"]) == (True, True)
