"""`./rapport doctor --security`: whether the provider that runs is set up as RFC 9700 wants it, as it says itself."""

from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx

from deploy.local.plan import Plan
from deploy.local.terminal import LocalError

Found = tuple[bool, str]
PATIENCE = 10.0
UNSAFE_GRANTS = {"password", "implicit", "urn:ietf:params:oauth:grant-type:password"}
RSA_BITS = 2048


def checks(plan: Plan) -> dict[str, Found]:
    """What was looked at, whether it is as it should be, and what was found."""
    headers = {"X-Rapport-Service": plan.state.secret("token-operator").read_text()}
    try:
        with httpx.Client(base_url=plan.urls["store"], headers=headers, timeout=PATIENCE) as operator:
            said = asked(operator, "/.well-known/openid-configuration")
            return {
                "secrets": secrets(plan),
                "issuer": issuer(said["issuer"]),
                "grants": grants(said),
                "pkce": pkce(said),
                "answers": answers(said),
                "algorithms": algorithms(said),
                "keys": keys(asked(operator, "/oauth/jwks")["keys"]),
                "clients": clients(pages(operator, "/v1/clients", "clients")),
                "audit log": audit_log(asked(operator, "/v1/auditLog:verify")),
            }
    except httpx.HTTPError:
        raise LocalError("the gateway does not answer as it should. Type: ./rapport status") from None


def asked(client: httpx.Client, path: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(path).raise_for_status().json()
    return found


def pages(client: httpx.Client, path: str, field: str) -> list[dict[str, Any]]:
    found, token = [], ""
    while True:
        page = asked(client, f"{path}?pageSize=200&pageToken={token}")
        found += page[field]
        if not (token := page["nextPageToken"]):
            return found


def secrets(plan: Plan) -> Found:
    """Nobody else may read them (RFC 9700, 2.5)."""
    folder = plan.state.secret("token-operator").parent
    open_ones = sorted(one.name for one in folder.iterdir() if one.stat().st_mode & 0o077)
    return not open_ones, f"others may read {', '.join(open_ones)}; type: chmod 600" if open_ones else "ours alone"


def issuer(address: str) -> Found:
    """Codes and tokens travel under TLS (RFC 9700, 2.6), unless they never leave the machine."""
    parts = urlsplit(address)
    good = parts.scheme == "https" or is_here(parts.hostname or "")
    return good, address if good else f"{address} is no https; set RAPPORT_PUBLIC_URL"


def is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def grants(said: Mapping[str, Any]) -> Found:
    """Neither passwords nor the implicit way (RFC 9700, 2.1.2 and 2.4)."""
    bad = UNSAFE_GRANTS & set(said["grant_types_supported"]) or set(said["response_types_supported"]) - {"code"}
    return not bad, f"{', '.join(sorted(bad))} offered" if bad else f"{len(said['grant_types_supported'])}, all by code"


def pkce(said: Mapping[str, Any]) -> Found:
    """Hashed challenges alone (RFC 9700, 2.1.1)."""
    methods = said["code_challenge_methods_supported"]
    return methods == ["S256"], ", ".join(methods)


def answers(said: Mapping[str, Any]) -> Found:
    """They say whose they are (RFC 9207; RFC 9700, 2.1)."""
    good = said["authorization_response_iss_parameter_supported"] is True
    return good, "say their issuer" if good else "do not say their issuer"


def algorithms(said: Mapping[str, Any]) -> Found:
    """Nothing unsigned, and nothing signed by a secret that several have."""
    named = {one for name, list_ in said.items() if name.endswith("_alg_values_supported") for one in list_}
    bad = sorted(one for one in named if one.lower() == "none" or one.startswith("HS"))
    return not bad, f"{', '.join(bad)} taken" if bad else ", ".join(sorted(named))


def keys(published: Sequence[Mapping[str, str]]) -> Found:
    """Public halves alone, and RSA keys of a length that holds."""
    if leaked := [one["kid"] for one in published if {"d", "p", "q", "k"} & one.keys()]:
        return False, f"{leaked[0]} is published with its secret half"
    short = [one["kid"] for one in published if one["kty"] == "RSA" and bits_of(one["n"]) < RSA_BITS]
    return not short, f"{short[0]} is shorter than {RSA_BITS} bits" if short else f"{len(published)} published"


def bits_of(text: str) -> int:
    return int.from_bytes(urlsafe_b64decode(text + "=" * (-len(text) % 4))).bit_length()


def clients(known: Sequence[Mapping[str, Any]]) -> Found:
    """Each uses PKCE, and browsers are sent to exact addresses under TLS (RFC 9700, 2.1; RFC 8252, 7)."""
    without = [one["name"] for one in known if one["profile"] == "CONFORMANCE"]
    plain = [f"{one['name']} ({uri})" for one in known for uri in one["redirectUris"] if not is_safe(uri)]
    if without:
        return False, f"{without[0]} need not use PKCE: CONFORMANCE is for certification alone"
    return not plain, f"{plain[0]} is sent to in the open" if plain else f"{len(known)} known"


def is_safe(uri: str) -> bool:
    parts = urlsplit(uri)
    return "*" not in uri and (parts.scheme == "https" or "." in parts.scheme or is_here(parts.hostname or ""))


def audit_log(found: Mapping[str, Any]) -> Found:
    whole = found["whole"] is True
    return whole, f"{found['entries']} entries in one chain" if whole else f"broken at entry {found['firstBroken']}"
