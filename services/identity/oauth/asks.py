"""The authorization endpoint: what a client asks of a person's browser, and what becomes of it. Pure: requests and what
is known come in, an outcome goes out.

Until client and redirect URI are proven, nothing is sent anywhere (RFC 9700, 4.11.2): such a request is answered on our
own page. What is wrong after that is told to the client.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from services.identity import outside
from services.identity.models import Client, Profile
from services.identity.oauth import wanted
from services.identity.oauth.claims import SCOPE_OF
from services.identity.oauth.protocol import ProtocolError, invalid

CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # SHA-256 in base64url (RFC 7636, 4.2)
PROMPTS = frozenset({"none", "login", "consent", "select_account"})
MODES = frozenset({"query", "form_post"})
NOT_TAKEN = {"request": "request_not_supported", "request_uri": "request_uri_not_supported"}
LONGEST = 512  # of state and nonce
Hinted = Callable[[str], Mapping[str, Any] | None]  # what an ID token of ours says, None for any other text


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """An authorization request that makes sense."""

    client: str
    redirect_uri: str
    state: str = ""
    mode: str = "query"
    scopes: Sequence[str] = ()
    challenge: str = ""
    nonce: str = ""
    prompts: frozenset[str] = frozenset()
    max_age: int | None = None
    login_hint: str = ""
    thumbprint: str = ""  # of the key that the code is for (RFC 9449, 10)
    subjects: frozenset[str] = frozenset()  # whom it must be about: of one at most, or nobody can be meant
    acrs: frozenset[str] | None = None  # how they must have signed in, where that is not left open
    userinfo_claims: Sequence[str] = ()  # asked for by name
    id_token_claims: Sequence[str] = ()

    @property
    def reach(self) -> Sequence[str]:
        """The scopes, and those that what is asked for by name belongs to: what a person is asked to allow."""
        named = (SCOPE_OF[claim] for claim in (*self.userinfo_claims, *self.id_token_claims))
        return list(dict.fromkeys((*self.scopes, *named)))

    @property
    def keeps_on(self) -> bool:
        """Whether it is to outlive the session (OpenID Connect Core, 11)."""
        return "offline_access" in self.scopes


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in, as far as the protocol heeds it."""

    id: str
    auth_time: datetime
    acr: str
    granted: frozenset[str]  # what they let this client do before


class Refused(Exception):  # noqa: N818 - what the client is told, not a fault of ours
    """The request is refused, and the client is told where it asked to be."""

    def __init__(self, ask: Ask, error: ProtocolError) -> None:
        super().__init__(error.error)
        self.ask, self.error = ask, error


# Where to -------------------------------------------------------------------------------------------------------------


def destination(client: Client, parameters: Mapping[str, str]) -> str:
    """The redirect URI, proven to be one of the client's; or a ProtocolError that no client is told."""
    asked = parameters.get("redirect_uri")
    if asked is None:
        raise invalid("Send redirect_uri: one of those that are registered.")
    if not any(is_same(asked, known) for known in client.redirect_uris):
        raise invalid("That redirect_uri is not registered for this client.")
    return asked


def is_same(asked: str, known: str) -> bool:
    """Byte for byte; only the port of a loopback address is the machine's to choose (RFC 8252, 7.3)."""
    if asked == known:
        return True
    there = urlsplit(known)
    if there.scheme != "http" or not outside.is_loopback(there.hostname or ""):
        return False
    try:
        here = urlsplit(asked)
        bare = here.netloc == (f"{here.netloc.rpartition(':')[0]}:{here.port}" if here.port else here.netloc)
    except ValueError:
        return False
    same = (here.scheme, here.hostname, here.path, here.query) == (
        there.scheme,
        there.hostname,
        there.path,
        there.query,
    )
    return same and bare and "@" not in here.netloc and "#" not in asked and "?" not in asked


# What is asked --------------------------------------------------------------------------------------------------------


def read(client: Client, parameters: Mapping[str, str], hinted: Hinted) -> Ask:
    """The request, or `Refused` with what is wrong with it. Raises ProtocolError while it is not proven where to."""
    redirect_uri = destination(client, parameters)
    state, mode = parameters.get("state", ""), parameters.get("response_mode", "query")
    bare = Ask(
        client=client.id, redirect_uri=redirect_uri, state=state[:LONGEST], mode=mode if mode in MODES else "query"
    )
    try:
        scopes = scopes_of(client, parameters)
        claims = wanted.read(parameters.get("claims", ""), client.scopes if "openid" in scopes else ())
        return Ask(
            client=client.id,
            redirect_uri=redirect_uri,
            state=checked(state, "state"),
            mode=mode_of(mode),
            scopes=scopes,
            challenge=challenge_of(client, parameters),
            nonce=checked(parameters.get("nonce", ""), "nonce"),
            prompts=prompts_of(parameters),
            max_age=max_age_of(parameters),
            login_hint=parameters.get("login_hint", "")[:254],
            thumbprint=thumbprint_of(parameters),
            subjects=frozenset(filter(None, (claims.subject, subject_of(client, parameters, hinted)))),
            acrs=claims.acrs,
            userinfo_claims=claims.userinfo,
            id_token_claims=claims.id_token,
        )
    except ProtocolError as error:
        raise Refused(bare, error) from None


def mode_of(mode: str) -> str:
    if mode not in MODES:
        raise invalid("The response modes are query and form_post.")
    return mode


def scopes_of(client: Client, parameters: Mapping[str, str]) -> Sequence[str]:
    response_type = parameters.get("response_type")
    if response_type is None:
        raise invalid("Send response_type=code.")
    if response_type != "code":
        raise ProtocolError("unsupported_response_type", "Only response_type=code is taken.")
    for name, error in NOT_TAKEN.items():
        if name in parameters:
            raise ProtocolError(error, "Send the parameters themselves.")
    asked = dict.fromkeys(parameters.get("scope", "").split())
    allowed = [one for one in asked if one in client.scopes]
    if not allowed:
        raise ProtocolError("invalid_scope", "This client may ask for none of these scopes.")
    return allowed


def challenge_of(client: Client, parameters: Mapping[str, str]) -> str:
    challenge, method = parameters.get("code_challenge", ""), parameters.get("code_challenge_method", "")
    if not challenge:
        if client.profile is not Profile.CONFORMANCE or method:
            raise invalid("Send code_challenge with code_challenge_method=S256 (RFC 7636).")
        return ""
    if method != "S256":
        raise invalid("The code_challenge_method must be S256.")
    if not CHALLENGE.fullmatch(challenge):
        raise invalid("The code_challenge must be the SHA-256 of the verifier in base64url: 43 characters.")
    return challenge


def thumbprint_of(parameters: Mapping[str, str]) -> str:
    thumbprint = parameters.get("dpop_jkt", "")
    if thumbprint and not CHALLENGE.fullmatch(thumbprint):
        raise invalid("The dpop_jkt is the SHA-256 thumbprint of a key in base64url: 43 characters (RFC 7638).")
    return thumbprint


def prompts_of(parameters: Mapping[str, str]) -> frozenset[str]:
    prompts = frozenset(parameters.get("prompt", "").split())
    if prompts - PROMPTS:
        raise invalid(f"The prompts are {', '.join(sorted(PROMPTS))}.")
    if "none" in prompts and len(prompts) > 1:
        raise invalid("The prompt none stands alone.")
    return prompts


def subject_of(client: Client, parameters: Mapping[str, str], hinted: Hinted) -> str:
    """Whom the client speaks of, by an ID token that it was given, however old (OpenID Connect Core, 3.1.2.1)."""
    token = parameters.get("id_token_hint", "")
    if not token:
        return ""
    said = hinted(token)
    if said is None or said.get("aud") != client.id:
        raise invalid("The id_token_hint is no ID token of ours for this client.")
    return str(said["sub"])


def max_age_of(parameters: Mapping[str, str]) -> int | None:
    said = parameters.get("max_age")
    if said is None:
        return None
    if not said.isascii() or not said.isdigit() or len(said) > 9:
        raise invalid("The max_age is a number of seconds.")
    return int(said)


def checked(value: str, name: str) -> str:
    if len(value) > LONGEST:
        raise invalid(f"The {name} is longer than {LONGEST} characters.")
    return value


# What becomes of it ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Needs:
    """What is missing before the client gets its code: "sign_in", "consent" or nothing."""

    what: str = ""


def decide(
    ask: Ask, person: Person | None, *, first_party: bool, decision: str, asked: datetime | None, now: datetime
) -> Needs:
    """Whether the person has to sign in or to be asked first; or `Refused`."""
    if decision == "DENIED":
        raise Refused(ask, ProtocolError("access_denied", "The person said no."))
    quiet = "none" in ask.prompts
    if person is None or not is_fresh(ask, person, asked, now):
        if quiet:
            raise Refused(ask, ProtocolError("login_required", "The person has to sign in."))
        return Needs("sign_in")
    if not ask.subjects <= {person.id}:
        if quiet or answers(person, asked):
            raise Refused(ask, ProtocolError("login_required", "Somebody else is signed in."))
        return Needs("sign_in")
    if ask.acrs is not None and person.acr not in ask.acrs:
        raise Refused(ask, wanted.unmet())
    if first_party or decision == "APPROVED":
        return Needs()
    if "consent" not in ask.prompts and person.granted.issuperset(ask.reach):
        return Needs()
    if quiet:
        raise Refused(ask, ProtocolError("consent_required", "The person has to be asked."))
    return Needs("consent")


def is_fresh(ask: Ask, person: Person, asked: datetime | None, now: datetime) -> bool:
    """Whether the sign-in is as recent as the client wants it (OpenID Connect Core, 3.1.2.1)."""
    if answers(person, asked):
        return True
    if ask.max_age is not None and now - person.auth_time > timedelta(seconds=ask.max_age):
        return False
    return not ask.prompts & {"login", "select_account"}


def answers(person: Person, asked: datetime | None) -> bool:
    """Whether the person signed in because this request asked for it: nothing else could meet a max_age of 0."""
    return asked is not None and person.auth_time >= asked


def answer(ask: Ask, said: Mapping[str, str], *, issuer: str) -> tuple[str, Sequence[tuple[str, str]]]:
    """Where the browser goes and what it posts there: nothing, where it is in the URI. It always says who answers
    (RFC 9207)."""
    told = [*said.items(), *([("state", ask.state)] if ask.state else []), ("iss", issuer)]
    if ask.mode == "form_post":
        return ask.redirect_uri, told
    parts = urlsplit(ask.redirect_uri)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *told])
    return urlunsplit(parts._replace(query=query)), []
