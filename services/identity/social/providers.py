"""Where people have accounts that they may come by: told in a file, none by default.

RAPPORT_SOCIAL_PROVIDERS_FILE holds YAML (docs/add-a-provider.md): a list `providers`, each with what `Provider` has.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from chassis.settings import Secret, SettingsError

FILE = "RAPPORT_SOCIAL_PROVIDERS_FILE"
OIDC, FACEBOOK = KINDS = ("oidc", "facebook")
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]")
OURS = {"address", "password", "confirm", "deletions"}  # what stands beside providers in our own addresses
SCOPES = {OIDC: ("openid", "profile", "email"), FACEBOOK: ("public_profile", "email")}
NEEDED = {OIDC: "jwks_uri", FACEBOOK: "profile_endpoint"}
LOOPBACK = ("localhost", "127.0.0.1", "::1")
MOST = 20


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One of them."""

    name: str  # the store's word for it, in addresses: "google"
    title: str  # what people know it as
    kind: str  # "oidc", or "facebook", which is OAuth 2.0 and its own
    issuer: str  # with a person's id there it is whom we know; of OpenID providers exactly what their tokens say
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str = ""  # oidc: where its keys are
    profile_endpoint: str = ""  # facebook: ".../me"
    client_id: str
    client_secret: Secret  # `client_secret_file` in the file
    # Domains of which the provider is itself the mailbox: elsewhere it may have been told an address long ago.
    proven_domains: tuple[str, ...] = ()
    is_local: bool = False  # `local` in the file: on this machine, without TLS

    @property
    def scopes(self) -> tuple[str, ...]:
        return SCOPES[self.kind]

    @property
    def origin(self) -> str:
        return origin_of(self.authorization_endpoint)

    @property
    def endpoints(self) -> Iterator[str]:
        yield from filter(
            None, (self.authorization_endpoint, self.token_endpoint, self.jwks_uri, self.profile_endpoint)
        )

    @property
    def origins(self) -> frozenset[str]:
        return frozenset(map(origin_of, self.endpoints))


Providers = Mapping[str, Provider]
# By its name in the file.
WORDS = {"client_secret": "client_secret_file", "is_local": "local"}
KEYS = {WORDS.get(one.name, one.name): one for one in fields(Provider)}


def read(text: str) -> Providers:
    """The providers that the file's text tells of, in its order; or refuse with all that is wrong with it."""
    if not text.strip():
        return {}
    try:
        told = yaml.safe_load(text)
    except yaml.YAMLError:
        raise SettingsError(f"{FILE} has to hold YAML.") from None
    listed = told.get("providers") if isinstance(told, dict) and set(told) == {"providers"} else None
    if not isinstance(listed, list) or len(listed) > MOST or not all(isinstance(one, dict) for one in listed):
        raise SettingsError(f"{FILE} has to hold a list called providers and nothing else, of {MOST} at most.")
    problems = [f"{FILE}: {whose(one)} {problem}" for one in listed for problem in wrong(one)]
    names = [one.get("name") for one in listed]
    problems += [
        f"{FILE}: {name} stands there twice." for name in sorted({str(n) for n in names if names.count(n) > 1})
    ]
    if problems:
        raise SettingsError("\n".join(problems))
    return {one["name"]: made(one) for one in listed}


def whose(said: Mapping[str, Any]) -> str:
    return str(said.get("name") or "a provider without a name")


def wrong(said: Mapping[str, Any]) -> Iterator[str]:
    """Everything that is wrong with one of them."""
    strange = sorted(map(str, said.keys() - KEYS.keys()))
    if strange:
        yield f"says {', '.join(strange)}, which means nothing here. It may say {', '.join(KEYS)}."
        return
    missing = [key for key, one in KEYS.items() if one.default is MISSING and not said.get(key)]
    kind = said.get("kind")
    if kind in KINDS and not said.get(NEEDED[kind]):
        missing.append(NEEDED[kind])
    if missing:
        yield f"does not say {', '.join(missing)}."
    texts = said.keys() - {"proven_domains", "local"}
    if not all(isinstance(said[key], str) for key in texts) or not isinstance(said.get("local", False), bool):
        yield "has to say texts; local is true or false."
        return
    yield from wrong_words(said)
    for key in ("authorization_endpoint", "token_endpoint", "jwks_uri", "profile_endpoint"):
        if address := said.get(key, ""):
            yield from wrong_address(key, address, is_local=said.get("local", False))
    if path := said.get("client_secret_file"):
        yield from wrong_secret(Path(path))


def wrong_words(said: Mapping[str, Any]) -> Iterator[str]:
    name, kind, domains = said.get("name", ""), said.get("kind", ""), said.get("proven_domains", [])
    if name and (not NAME.fullmatch(name) or name in OURS):
        yield f"needs another name: small letters, digits and hyphens, none of {', '.join(sorted(OURS))}."
    if kind and kind not in KINDS:
        yield f"has to be of the kind {' or '.join(KINDS)}."
    if not isinstance(domains, list) or not all(isinstance(one, str) for one in domains):
        yield "has to say proven_domains as a list of domains."


def wrong_address(key: str, address: str, *, is_local: bool) -> Iterator[str]:
    parts = urlsplit(address)
    if parts.username or parts.fragment or parts.query or not parts.hostname:
        yield f"has to say {key} as a bare address."
    elif is_local and parts.hostname not in LOOPBACK:
        yield f"is local, and its {key} is not on this machine."
    elif not is_local and parts.scheme != "https":
        yield f"has to say {key} with https."


def wrong_secret(path: Path) -> Iterator[str]:
    try:
        if not path.read_text(encoding="utf-8").strip():
            yield "has an empty client_secret_file."
    except (OSError, UnicodeDecodeError):
        yield "has a client_secret_file that cannot be read."


def made(said: Mapping[str, Any]) -> Provider:
    domains: Sequence[str] = said.get("proven_domains", [])
    secret = Path(said["client_secret_file"]).read_text(encoding="utf-8").strip()
    rest = {key: value for key, value in said.items() if key in {one.name for one in fields(Provider)}}
    return Provider(
        **rest
        | {
            "client_secret": Secret(secret),
            "proven_domains": tuple(one.lower() for one in domains),
            "is_local": said.get("local", False),
        }
    )


def origin_of(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
