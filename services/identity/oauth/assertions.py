"""private_key_jwt: a client proves itself by a key whose public half it registered (RFC 7523, 3; OpenID Connect Core,
9), within what FAPI 2.0 leaves of it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from services.identity.models import Client
from services.identity.oauth import keys

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SKEW = timedelta(seconds=10)  # between the client's clock and ours (FAPI 2.0, 5.3.2.1)
LONGEST = timedelta(hours=1)  # an assertion's life; for so long it is known that it was shown
LONGEST_JTI = 256
UNSIGNED = "The client_assertion is not signed with a key that its client registered, or not as we take it."


class Unproven(Exception):  # noqa: N818 - says that something is not shown
    """The assertion proves nothing. Its text is for the client's developer, and tells nothing of the client."""


def subject(assertion: str) -> str:
    """Whom the assertion says that it is of: nothing of it is proven yet."""
    try:
        said = orjson.loads(keys.unproven(assertion)[1])
    except (keys.Unfit, ValueError):
        raise Unproven("The client_assertion is no signed JWT.") from None
    name = said.get("sub") if isinstance(said, dict) else None
    if not isinstance(name, str) or "\0" in name:
        raise Unproven("The client_assertion names no client in sub.")
    return name


def check(client: Client, assertion: str, *, issuer: str, now: datetime) -> tuple[str, datetime]:
    """The assertion's jti and its end, where one of the client's keys signed it for us, and it is neither old nor of
    times to come. That it was not shown before is for the caller to see."""
    said = signed(client, assertion)
    if said.get("iss") != client.id or said.get("sub") != client.id:
        raise Unproven("The iss and sub of a client_assertion are the client_id.")
    if said.get("aud") != issuer:
        raise Unproven("The aud of a client_assertion is our issuer, and nothing beside it.")
    jti, end = said.get("jti"), moment_of(said, "exp")
    if not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_JTI:
        raise Unproven(f"A client_assertion has a jti of at most {LONGEST_JTI} characters.")
    if end is None or end <= now.timestamp() or end > (now + LONGEST + SKEW).timestamp():
        raise Unproven("A client_assertion has an exp in the hour to come.")
    for name in ("iat", "nbf"):
        if (moment_of(said, name) or 0) > (now + SKEW).timestamp():
            raise Unproven(f"The {name} of the client_assertion is yet to come.")
    return jti, datetime.fromtimestamp(end, now.tzinfo)


def signed(client: Client, assertion: str) -> Mapping[str, Any]:
    """The claims, where one of the client's keys signed them."""
    try:
        header, _ = keys.unproven(assertion)
        named = [one for one in client.keys if header.get("kid", one["kid"]) == one["kid"]]
        if len(named) != 1 or "crit" in header:
            raise Unproven(UNSIGNED)
        return keys.signed(assertion, named[0])
    except keys.Unfit:
        raise Unproven(UNSIGNED) from None


def moment_of(said: Mapping[str, Any], name: str) -> float | None:
    """A time in seconds (RFC 7519, 2), None where there is none."""
    value = said.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise Unproven(f"The {name} is a number of seconds.")
    return float(value)
