"""Clients: told by the store, and how each proves that it is the one."""

import hmac
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from urllib.parse import unquote_plus, urlsplit

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.access import STORE
from chassis.database import Prepared
from chassis.etags import check_etag
from chassis.refusal import Violation
from services.identity import once, opaque, outside
from services.identity.models import Authorization, Client, Profile
from services.identity.oauth import assertions, authorizations, keys, programs
from services.identity.oauth.programs import Reason
from services.identity.oauth.protocol import ProtocolError
from services.identity.refusals import ClientNotFound, ClientUnsafe
from services.identity.tokens import IMPERSONATION

BASIC = "Basic "
OF_PEOPLE = frozenset({"openid", "profile", "email", "address", "offline_access"})
OF_SIGN_INS = frozenset({"openid", "offline_access"})
FIELDS = (
    "title", "profile", "redirect_uris", "post_logout_redirect_uris", "scopes", "first_party", "id_token_algorithm",
    "keys", "pushes", "binds", "types", "echoes", "exchange_scopes",
    "backchannel_logout_uri", "backchannel_logout_session_required",
    "keys", "pushes", "binds", "types",
    "backchannel_logout_uri", "backchannel_logout_session_required", "grantable_roles",
)  # fmt: skip


async def get(session: AsyncSession, id: str) -> Client:
    """Return the client, or refuse because there is none."""
    client = await session.get(Client, id)
    if client is None:
        raise ClientNotFound("There is no such client.")
    return client


async def all_after(session: AsyncSession, id: str, *, limit: int) -> Sequence[Client]:
    return (await session.scalars(select(Client).where(Client.id > id).order_by(Client.id).limit(limit))).all()


async def put(session: AsyncSession, wanted: Client, *, etag: str, now: datetime) -> Client:
    """Make the client, or make the one there is as this says; or refuse what would be unsafe."""
    check(wanted)
    client = await session.get(Client, wanted.id, with_for_update=True)
    said = {field: getattr(wanted, field) for field in FIELDS}
    if client is None:
        check_etag(etag, 0, wanted.id)
        made = insert(Client).values(id=wanted.id, version=1, **said).on_conflict_do_nothing()
        if await session.scalar(made.returning(Client.id)) is not None:
            return await get(session, wanted.id)
        client = await session.get_one(Client, wanted.id, with_for_update=True)  # somebody made it just now
    check_etag(etag, client.version, client.id)
    if is_narrower(wanted, client):
        await programs.end(session, client, Reason.CLIENT_NARROWED, now=now)
    for field, value in said.items():
        setattr(client, field, value)
    if client.profile is Profile.PUBLIC or client.keys:
        client.secret_hash = None
    client.version += 1
    await session.flush()
    return client


def is_narrower(wanted: Client, client: Client) -> bool:
    """Whether tokens that it got for itself so far could say more than it may get from now on."""
    is_less_proven = bool(client.secret_hash and wanted.keys) or any(one not in wanted.keys for one in client.keys)
    is_less = not set(client.scopes) <= set(wanted.scopes) or (wanted.binds and not client.binds)
    is_less |= not set(client.exchange_scopes) <= set(wanted.exchange_scopes)
    return is_less or is_less_proven or wanted.profile is not client.profile


def check(client: Client) -> None:
    """Refuse what RFC 9700 warns of: addresses that others can listen at, and such that are no exact ones."""
    wrong = [
        Violation(f"client.{field}[{place}]", "CLIENT_UNSAFE", why)
        for field in ("redirect_uris", "post_logout_redirect_uris")
        for place, uri in enumerate(getattr(client, field))
        if (why := unsafe(uri))
    ]
    wrong += [Violation(f"client.{field}", "CLIENT_UNSAFE", why) for field, why in strange(client)]
    wrong += [Violation(f"client.keys[{place}]", "CLIENT_UNSAFE", why) for place, why in keys.wrong(client.keys)]
    if client.backchannel_logout_uri and (why := outside.unfit(client.backchannel_logout_uri)):
        wrong.append(Violation("client.backchannel_logout_uri", "CLIENT_UNSAFE", why))
    if wrong:
        raise ClientUnsafe("Mend the fields listed.", violations=wrong)


def strange(client: Client) -> Iterator[tuple[str, str]]:
    """Fields that do not go with what kind of program it is, and why."""
    if client.id == STORE:
        yield "name", "That is what tokens of the store's own front end say, which need no scope."
    if client.id == IMPERSONATION:
        yield "name", "That is what tokens say by which the store's people look at accounts."
    if client.profile is Profile.PUBLIC and client.keys:
        yield "keys", "Whoever has this program has its keys."
    if client.profile is not Profile.SERVICE:
        if client.exchange_scopes:
            yield "token_exchange_scopes", "People sign in to this program: it has tokens of theirs by itself."
        if not client.redirect_uris:
            yield "redirect_uris", "This needs an address to send browsers to."
        if client.grantable_roles:
            yield "grantable_roles", "Only a program that acts for itself provisions people."
        return
    if client.types:
        yield "device_authorization", "Nobody signs in to a program that acts for itself."
    if client.redirect_uris or client.post_logout_redirect_uris:
        yield "redirect_uris", "Nobody signs in to a program that acts for itself: no browser is sent to it."
    if OF_SIGN_INS & set(client.exchange_scopes):
        yield "token_exchange_scopes", f"Exchanging is no sign-in: leave out {', '.join(sorted(OF_SIGN_INS))}."
    if OF_PEOPLE & set(client.scopes):
        yield "scopes", f"No person is in its tokens: leave out {', '.join(sorted(OF_PEOPLE))}."


def unsafe(uri: str) -> str:
    """Why browsers must not be sent there; "" where they may."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
    except ValueError:
        return "This is no address."
    if "#" in uri or "*" in uri or "@" in parts.netloc or not uri.isascii() or any(one.isspace() for one in uri):
        return "This takes an exact address: no #fragment, no *, no user, no blanks."
    if parts.scheme == "https" and host:
        return ""
    if parts.scheme == "http":
        safe = outside.is_loopback(host)
        return "" if safe else "This takes https, or http on a loopback address: http://127.0.0.1/callback."
    # RFC 8252, 7.1: a scheme of one's own is a domain name turned round.
    return "" if "." in parts.scheme and not parts.netloc else "This takes https, or a scheme like org.example.app."


async def remove(session: AsyncSession, id: str, *, now: datetime) -> None:
    """End the client, and all it holds."""
    client = await session.get(Client, id, with_for_update=True)
    if client is None:
        raise ClientNotFound("There is no such client.")
    await authorizations.end_those_of_client(session, client, now=now)
    await programs.end(session, client, Reason.CLIENT_DELETED, now=now)
    await session.execute(delete(Authorization).where(Authorization.client_id == id))
    await session.delete(client)


async def reset_secret(session: AsyncSession, id: str, *, now: datetime) -> str:
    """Give the client a new secret and return it; what it got for itself by the old one ends. Kept is a plain hash: 256
    random bits cannot be guessed."""
    client = await session.get(Client, id, with_for_update=True)
    if client is None:
        raise ClientNotFound("There is no such client.")
    if client.profile is Profile.PUBLIC:
        why = Violation("name", "CLIENT_UNSAFE", "Whoever has this program has its secret.")
        raise ClientUnsafe("A public client keeps no secret.", violations=[why])
    if client.keys:
        why = Violation("name", "CLIENT_UNSAFE", "A secret beside its keys would be the weaker way in.")
        raise ClientUnsafe("A client that has keys has no secret.", violations=[why])
    await programs.end(session, client, Reason.SECRET_RESET, now=now)
    secret, client.secret_hash = opaque.make()
    client.version += 1
    return secret


# Who calls ------------------------------------------------------------------------------------------------------------


NAMED = Prepared(select(Client).where(Client.id == bindparam("id")))


async def proven(
    session: AsyncSession, parameters: Mapping[str, str], authorization: str, *, issuer: str, now: datetime
) -> Client:
    """The client that calls: by private_key_jwt where it has keys, else by client_secret_basic, by client_secret_post,
    or, where it is public, by its name alone (RFC 6749, 2.3; RFC 7521, 4.2)."""
    if "client_assertion" in parameters or "client_assertion_type" in parameters:
        return await proven_by_key(session, parameters, authorization, issuer=issuer, now=now)
    name, secret = shown(parameters, authorization)
    client = await NAMED.find(session, Client, id=name)
    if client is None or client.keys:
        raise unproven(authorization)
    if client.profile is Profile.PUBLIC:
        if secret:
            raise unproven(authorization)
        return client
    if client.secret_hash is None or not hmac.compare_digest(client.secret_hash, opaque.hash_of(secret)):
        raise unproven(authorization)
    return client


async def proven_by_key(
    session: AsyncSession, parameters: Mapping[str, str], authorization: str, *, issuer: str, now: datetime
) -> Client:
    if authorization or "client_secret" in parameters:
        raise ProtocolError("invalid_request", "Prove the client in one way, not in two.")
    assertion = parameters.get("client_assertion", "")
    if parameters.get("client_assertion_type") != assertions.TYPE:
        raise ProtocolError("invalid_request", f"The client_assertion_type is {assertions.TYPE}.")
    try:
        name = assertions.subject(assertion)
        client = await NAMED.find(session, Client, id=name)
        if client is None or parameters.get("client_id", name) != name:
            raise assertions.Unproven(assertions.UNSIGNED)
        jti, end = assertions.check(client, assertion, issuer=issuer, now=now)
        if not await once.spend(session, "assertion", client.id, jti, until=end):
            raise assertions.Unproven("That client_assertion was used before.")
    except assertions.Unproven as why:
        raise ProtocolError("invalid_client", str(why), status=401) from None
    return client


def shown(parameters: Mapping[str, str], authorization: str) -> tuple[str, str]:
    named, secret = parameters.get("client_id", ""), parameters.get("client_secret", "")
    if not authorization:
        return named, secret
    if secret:
        raise ProtocolError("invalid_request", "Prove the client in one way, not in two.")
    if not authorization.startswith(BASIC):
        raise unproven(authorization)
    try:
        name, colon, secret = b64decode(authorization.removeprefix(BASIC), validate=True).decode().partition(":")
    except (NotBase64, UnicodeDecodeError):
        raise unproven(authorization) from None
    name, secret = unquote_plus(name), unquote_plus(secret)
    if not colon or (named and named != name):
        raise unproven(authorization)
    return name, secret


def unproven(authorization: str) -> ProtocolError:
    """One answer, whether the client is unknown or its secret wrong; to who used the header, a challenge in it."""
    challenge = 'Basic realm="token endpoint"' if authorization else ""
    why = "The client is not known, or did not prove itself."
    return ProtocolError("invalid_client", why, status=401, challenge=challenge)
