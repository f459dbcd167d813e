"""What a client asks to be told by name: the `claims` parameter (OpenID Connect Core, 5.5). Pure.

A claim that we do not know, or that the client may not ask for, is left out, as the protocol has it: a claim is a wish
unless it says who the person must be (`sub`) or how they must have signed in (`acr`, essential).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from services.identity.oauth.claims import SCOPE_OF
from services.identity.oauth.protocol import ProtocolError, invalid

MOST = 100  # members of each part


@dataclass(frozen=True, slots=True)
class Wanted:
    """The parameter, as far as we heed it."""

    userinfo: Sequence[str] = ()
    id_token: Sequence[str] = ()
    subject: str = ""  # whom it must be about; "" where that is left open
    acrs: frozenset[str] | None = None  # how they must have signed in, one of these; None where that is left open


def read(text: str, scopes: Sequence[str]) -> Wanted:
    """The parameter of a client that may ask for these scopes, or what is wrong with it."""
    if not text:
        return Wanted()
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise invalid("The claims parameter is no JSON.") from None
    userinfo, id_token = part(said, "userinfo"), part(said, "id_token")
    return Wanted(
        [name for name in userinfo if SCOPE_OF.get(name) in scopes],
        [name for name in id_token if SCOPE_OF.get(name) in scopes],
        subject_of(userinfo, id_token),
        acrs_of(id_token.get("acr") or {}),
    )


def part(said: Any, name: str) -> Mapping[str, Mapping[str, Any] | None]:
    """A member of the parameter: names of claims, each with null or an object."""
    found = said.get(name) if isinstance(said, dict) else said
    found = {} if found is None and said is not None else found
    if not isinstance(found, dict) or len(found) > MOST:
        raise invalid("The claims parameter holds the members userinfo and id_token, each an object.")
    if not all(one is None or isinstance(one, dict) for one in found.values()):
        raise invalid("A member of the claims parameter is null or an object.")
    return found


def subject_of(*parts: Mapping[str, Mapping[str, Any] | None]) -> str:
    subjects = [one["value"] for said in parts if (one := said.get("sub")) is not None and "value" in one]
    if not all(isinstance(one, str) for one in subjects) or len(set(subjects)) > 1:
        raise invalid("The value of sub is one person.")
    return next(iter(subjects), "")


def acrs_of(said: Mapping[str, Any]) -> frozenset[str] | None:
    """The ways of signing in that will do, where one of them has to be (5.5.1.1)."""
    if said.get("essential") is not True or not said.keys() & {"value", "values"}:
        return None
    values = said.get("values", [said.get("value")])
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise invalid("The values of acr are texts.")
    return frozenset(values)


def unmet() -> ProtocolError:
    """OpenID Connect Core Error Code unmet_authentication_requirements 1.0."""
    return ProtocolError("unmet_authentication_requirements", "The person cannot sign in in that way.")
