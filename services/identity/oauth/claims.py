"""What a client is told of a person: what its scopes let it know, and no more (OpenID Connect Core, 5.4)."""

import hashlib
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from services.identity import base64url
from services.identity.models import Authorization, PostalAddress, User

# What each scope lets a client know (OpenID Connect Core, 5.4). We hold no phone number, so there is no scope for one.
CLAIMS_OF = {"profile": ("name", "updated_at"), "email": ("email", "email_verified"), "address": ("address",)}
SCOPE_OF = {claim: scope for scope, claims in CLAIMS_OF.items() for claim in claims}
ID_TOKEN_LIFE = timedelta(minutes=5)  # it is read once, on arrival


def id_token(
    found: Authorization, access_token: str, user: User | None, *, issuer: str, now: datetime
) -> dict[str, Any]:
    """The claims of an ID token (OpenID Connect Core, 2), and of its `user` those that it was asked to hold."""
    said = {
        "iss": issuer,
        "sub": str(found.user_id),
        "aud": found.client_id,
        "iat": int(now.timestamp()),
        "exp": int((now + ID_TOKEN_LIFE).timestamp()),
        "auth_time": int(found.auth_time.timestamp()),
        "acr": found.acr,
        "amr": found.amr,
        "at_hash": half_hash(access_token),
    }
    if (sign_in := found.sign_in_id or found.session_id) is not None:
        said["sid"] = str(sign_in)
    if found.nonce:
        said["nonce"] = found.nonce
    return said if user is None else of_person(user, found.id_token_claims) | said


def half_hash(token: str) -> str:
    """What ties an access token to an ID token that is signed with SHA-256 (OpenID Connect Core, 3.1.3.6)."""
    return base64url.encode(hashlib.sha256(token.encode()).digest()[:16])


def userinfo(user: User, found: Authorization) -> dict[str, Any]:
    """What its scopes let the client know, and what it asked for by name."""
    by_scope = [claim for scope in found.scopes for claim in CLAIMS_OF.get(scope, ())]
    return {"sub": str(user.id)} | of_person(user, [*by_scope, *found.userinfo_claims])


def of_person(user: User, names: Collection[str]) -> dict[str, Any]:
    """The claims of these names, as far as there is something to say."""
    address = user.shipping_address or user.billing_address
    said = {
        "name": user.display_name,
        "updated_at": int(user.update_time.timestamp()),
        "email": user.email,
        "email_verified": True,  # nobody has an account whose address was not proven
        "address": address_claim(address) if address is not None else "",
    }
    return {name: value for name, value in said.items() if name in names and value != ""}


def address_claim(address: PostalAddress) -> dict[str, str]:
    street = "\n".join(address.lines)
    town = " ".join(filter(None, (address.postal_code, address.city)))
    whole = "\n".join(filter(None, (address.recipient, street, town, address.region_code)))
    said = {
        "formatted": whole,
        "street_address": street,
        "locality": address.city,
        "postal_code": address.postal_code,
        "country": address.region_code,
    }
    return {name: value for name, value in said.items() if value}
