"""Asking a provider who it was that came back."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.identity import addresses, photos
from services.identity.models import Photo
from services.identity.refusals import EmailMalformed, PhotoUnreadable
from services.identity.social.flows import Way
from services.identity.social.id_tokens import LONGEST_SUB, IdTokens, unproven
from services.identity.social.providers import OIDC, Provider
from services.identity.social.wire import Wire, failed

LONGEST_NAME = 100
FIELDS = "id,name,email,picture.width(512).height(512)"


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who the provider says it was. It is the issuer and the id there that say who; the rest may be anybody's."""

    provider: Provider
    sub: str
    account_name: str = ""
    email: str = ""
    email_is_proven: bool = False
    photo_url: str = ""

    @property
    def issuer(self) -> str:
        return self.provider.issuer


class Asking:
    """Asks."""

    def __init__(self, wire: Wire) -> None:
        self.wire, self.id_tokens = wire, IdTokens(wire)

    async def who(self, provider: Provider, code: str, way: Way, redirect_uri: str, *, now: datetime) -> Person:
        """Who came back with this code, or refuse because it proves nobody."""
        said = await self.redeemed(provider, code, way, redirect_uri)
        if provider.kind == OIDC:
            claims = await self.id_tokens.claims(provider, text(said.get("id_token")), nonce=way.nonce, now=now)
            return of_claims(provider, claims)
        return of_profile(provider, await self.profile(provider, text(said.get("access_token"))))

    async def redeemed(self, provider: Provider, code: str, way: Way, redirect_uri: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": provider.client_id,
            "client_secret": provider.client_secret.value,
            "code_verifier": way.verifier,
        }
        status, said = await self.wire.json("POST", provider.token_endpoint, data=form)
        if status == 200:
            return said
        # What we are told of a bad code: OpenID providers by a word, Facebook by a number (OAuthException).
        raise unproven() if status == 400 else failed()

    async def profile(self, provider: Provider, access_token: str) -> Mapping[str, Any]:
        """What Facebook's Graph says of whose token this is; the proof says that it is asked by us."""
        if not access_token:
            raise unproven()
        proof = hmac.new(provider.client_secret.value.encode(), access_token.encode(), "sha256").hexdigest()
        status, said = await self.wire.json(
            "GET",
            provider.profile_endpoint,
            params={"fields": FIELDS, "appsecret_proof": proof},
            headers={"authorization": f"Bearer {access_token}"},
        )
        if status != 200:
            raise failed()
        return said

    async def photo(self, person: Person) -> Photo | None:
        """Their photo, written anew; none where there is none, or none that we can show: nobody is kept out for it."""
        if not person.photo_url:
            return None
        content = await self.wire.photo(person.provider, person.photo_url)
        try:
            return await photos.read(content) if content else None
        except PhotoUnreadable:
            return None


def of_claims(provider: Provider, claims: Mapping[str, Any]) -> Person:
    email = address(claims.get("email"))
    domain = email.rpartition("@")[2]
    # What was once mailed to an address elsewhere says little of whose it is now. Where the provider is the mailbox,
    # or the domain's own directory (hd), it knows.
    is_mailbox = domain in provider.proven_domains or text(claims.get("hd")).lower() == domain
    return Person(
        provider=provider,
        sub=claims["sub"],
        account_name=name(claims.get("name")),
        email=email,
        email_is_proven=bool(email) and claims.get("email_verified") is True and is_mailbox,
        photo_url=text(claims.get("picture")),
    )


def of_profile(provider: Provider, said: Mapping[str, Any]) -> Person:
    sub = text(said.get("id"))
    if not 0 < len(sub) <= LONGEST_SUB:
        raise unproven()
    picture = said.get("picture")
    data = picture.get("data") if isinstance(picture, dict) else None
    found = data if isinstance(data, dict) and data.get("is_silhouette") is not True else {}
    # Who has an account by telephone has no address; and one that there is was proven at some time, to somebody else.
    return Person(
        provider=provider,
        sub=sub,
        account_name=name(said.get("name")),
        email=address(said.get("email")),
        photo_url=text(found.get("url")),
    )


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def name(value: Any) -> str:
    """A name as it can be shown: of one line, and no longer than ours."""
    return " ".join("".join(one if one.isprintable() else " " for one in text(value)).split())[:LONGEST_NAME]


def address(value: Any) -> str:
    try:
        return addresses.exact(text(value))
    except EmailMalformed:
        return ""
