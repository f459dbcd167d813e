"""What a client is told of a person: what its scopes let it know, and no more (OpenID Connect Core, 5.4)."""

import hashlib
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Any

from services.identity.models import Authorization, PostalAddress, User

ID_TOKEN_LIFE = timedelta(minutes=5)  # it is read once, on arrival


def id_token(found: Authorization, access_token: str, *, issuer: str, now: datetime) -> dict[str, Any]:
    """The claims of an ID token (OpenID Connect Core, 2)."""
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
    if found.session_id is not None:
        said["sid"] = str(found.session_id)
    if found.nonce:
        said["nonce"] = found.nonce
    return said


def half_hash(token: str) -> str:
    """What ties an access token to an ID token that is signed with SHA-256 (OpenID Connect Core, 3.1.3.6)."""
    return urlsafe_b64encode(hashlib.sha256(token.encode()).digest()[:16]).decode().rstrip("=")


def userinfo(user: User, scopes: list[str]) -> dict[str, Any]:
    said: dict[str, Any] = {"sub": str(user.id)}
    if "profile" in scopes:
        said |= {"name": user.display_name, "updated_at": int(user.update_time.timestamp())}
    if "email" in scopes:
        said |= {"email": user.email, "email_verified": True}  # nobody has an account whose address was not proven
    if "address" in scopes and (address := user.shipping_address or user.billing_address) is not None:
        said["address"] = address_claim(address)
    return {name: value for name, value in said.items() if value != ""}


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
