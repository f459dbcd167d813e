"""Stands in for Google and Facebook: a consent page, a few sample accounts, tokens signed by a key of its own, photos.

It is a third party to the platform, and may be told to misbehave in every way that a sign-in must not fall for: a test
posts `mischief` with the consent. Nothing is kept but in memory, and for minutes.
"""

import asyncio
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
import uvicorn
from jinja2 import Environment, FileSystemLoader
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from chassis.settings import Secret, load
from chassis.time import Clock, clock_from
from deploy.local.social_mischief import CLIENT_ID, PHOTOS, PICTURES_ELSEWHERE, WRONG_CLAIMS, Claims

PAGES = Environment(loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True)
KEY_ID = "local-1"
TITLES = {"google": "Google", "facebook": "Facebook"}
MOST_CODES = 1_000


@dataclass(frozen=True, kw_only=True)
class Settings:
    listen: str  # host:port
    public_url: str  # as browsers reach it
    store_url: str  # the store, which is the only client
    client_secret: Secret
    signing_key: Secret  # P-256, in PEM
    test_clock: str = ""


@dataclass(frozen=True)
class Account:
    """Somebody with an account here."""

    sub: str
    name: str
    email: str = ""
    colour: int = 0x4F7CAC
    hd: str = ""


ACCOUNTS = {
    "google": (
        Account("108214", "Nora Lind", "nora.lind@gmail.com", 0x4F7CAC),
        Account("108377", "Tom Baker", "tom@bakery.example", 0xA8763E, hd="bakery.example"),
        Account("108991", "Ada at Google", "ada@example.org", 0x6B8F71),
    ),
    "facebook": (
        Account("5521", "Vera Stein", "vera.stein@example.org", 0x8E5572),
        Account("5788", "Omar by telephone", "", 0x5B7F95),
    ),
}


@dataclass(frozen=True)
class Grant:
    """A code that waits to be redeemed."""

    provider: str
    account: Account
    redirect_uri: str
    challenge: str
    nonce: str
    mischief: str


@dataclass
class Elsewhere:
    """Both providers."""

    settings: Settings
    clock: Clock
    key: ECKey
    foreign: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": KEY_ID}))
    codes: dict[str, Grant] = field(default_factory=dict)
    tokens: dict[str, Grant] = field(default_factory=dict)
    made_up: dict[str, Account] = field(default_factory=dict)  # by a test, by their sub
    asked_for_keys: int = 0

    def issuer(self, provider: str) -> str:
        return f"{self.settings.public_url}/{provider}"

    # The browser's way

    async def authorize(self, request: Request) -> Response:
        """The consent page; or, for who asks wrongly, what is wrong."""
        provider, asked = request.path_params["provider"], request.query_params
        if problem := self.wrong(provider, asked):
            return PlainTextResponse(f"{problem}\n", 400)
        shown = {
            "title": TITLES[provider],
            "accounts": ACCOUNTS[provider],
            "asked": asked.items(),
            "provider": provider,
        }
        # No form-action: browsers would stop the way back to the store.
        policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
        headers = {"content-security-policy": policy, "referrer-policy": "no-referrer", "cache-control": "no-store"}
        return HTMLResponse(PAGES.get_template("consent.html").render(**shown), headers=headers)

    async def consent(self, request: Request) -> Response:
        provider, said = request.path_params["provider"], await form(request)
        if problem := self.wrong(provider, said):
            return PlainTextResponse(f"{problem}\n", 400)
        back = {"state": text(said, "state")}
        account = self.account(provider, said)
        if account is None:
            back |= {"error": "access_denied", "error_description": "The person said no."}
        else:
            code = secrets.token_urlsafe(24)
            while len(self.codes) >= MOST_CODES:
                self.codes.pop(next(iter(self.codes)))
            self.codes[code] = Grant(
                provider,
                account,
                text(said, "redirect_uri"),
                text(said, "code_challenge"),
                text(said, "nonce"),
                text(said, "mischief"),
            )
            back["code"] = code
        return RedirectResponse(f"{text(said, 'redirect_uri')}?{urlencode(back)}", 303)

    def wrong(self, provider: str, asked: Mapping[str, Any]) -> str:
        if provider not in ACCOUNTS:
            return "There is no such provider."
        if asked.get("client_id") != CLIENT_ID or asked.get("response_type") != "code":
            return "That client or response_type is not known."
        if asked.get("redirect_uri") != f"{self.settings.store_url}/social/{provider}/callback":
            return "That redirect_uri is not the store's."
        if asked.get("code_challenge_method") != "S256" or not asked.get("code_challenge") or not asked.get("state"):
            return "Send state, and code_challenge with S256."
        return ""

    def account(self, provider: str, said: Mapping[str, Any]) -> Account | None:
        """Who was chosen; somebody who is new here, too, by the name that was typed."""
        if text(said, "account") == "new":
            email = text(said, "email")
            sub = sha256(email.encode()).hexdigest()[:16] if email else secrets.token_hex(8)
            return Account(sub, text(said, "name"), email, 0x7A6C9D)
        here = {one.sub: one for one in ACCOUNTS[provider]} | self.made_up
        return here.get(text(said, "account"))

    # What the store asks

    async def token(self, request: Request) -> Response:
        said = await form(request)
        grant = self.codes.pop(text(said, "code"), None)
        if not self.redeems(request.path_params["provider"], grant, said) or grant is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        if spoilt := await self.spoilt(grant.mischief):
            return spoilt
        token = secrets.token_urlsafe(24)
        self.tokens = {token: grant} | dict(list(self.tokens.items())[: MOST_CODES - 1])
        told = {"access_token": token, "token_type": "Bearer", "expires_in": 3600}
        if grant.provider == "google":
            told["id_token"] = self.id_token(grant)
        return JSONResponse(told)

    def redeems(self, provider: str, grant: Grant | None, said: Mapping[str, Any]) -> bool:
        challenge = urlsafe_b64encode(sha256(text(said, "code_verifier").encode()).digest()).decode().rstrip("=")
        return (
            grant is not None
            and grant.provider == provider
            and text(said, "client_id") == CLIENT_ID
            and hmac.compare_digest(text(said, "client_secret"), self.settings.client_secret.value)
            and text(said, "redirect_uri") == grant.redirect_uri
            and challenge == grant.challenge
        )

    async def spoilt(self, mischief: str) -> Response | None:
        """An answer that is none."""
        match mischief:
            case "slow":
                await asyncio.sleep(30)
            case "endless":
                return JSONResponse({"id_token": "x" * (1 << 20)})
            case "redirect":
                return RedirectResponse(f"{self.settings.public_url}/healthz", 307)
            case "broken":
                return PlainTextResponse("<html>Something failed here", 500)
            case "no_json":
                return PlainTextResponse("<html>Welcome")
        return None

    def id_token(self, grant: Grant) -> str:
        now, account = int(self.clock().timestamp()), grant.account
        claims: Claims = {
            "iss": self.issuer("google"),
            "aud": CLIENT_ID,
            "azp": CLIENT_ID,
            "sub": account.sub,
            "nonce": grant.nonce,
            "iat": now,
            "exp": now + 3600,
            "name": account.name,
            "email": account.email,
            "email_verified": grant.mischief != "unverified",
            "picture": self.picture(grant),
        }
        if account.hd:
            claims["hd"] = account.hd
        if wrong := WRONG_CLAIMS.get(grant.mischief):
            claims |= wrong(now)
        claims = {name: value for name, value in claims.items() if value is not None}
        return self.signed(claims, grant.mischief)

    def signed(self, claims: Claims, mischief: str) -> str:
        header = {"alg": "ES256", "kid": KEY_ID, "typ": "JWT"}
        match mischief:
            case "alg_none":
                parts = (orjson.dumps({"alg": "none", "kid": KEY_ID}), orjson.dumps(claims))
                return ".".join(urlsafe_b64encode(one).decode().rstrip("=") for one in parts) + "."
            case "alg_hs256":
                head = orjson.dumps({"alg": "HS256", "kid": KEY_ID})
                parts = (head, orjson.dumps(claims))
                signing = ".".join(urlsafe_b64encode(one).decode().rstrip("=") for one in parts)
                secret = self.key.as_pem(private=False)
                signature = hmac.digest(secret, signing.encode(), "sha256")
                return f"{signing}.{urlsafe_b64encode(signature).decode().rstrip('=')}"
            case "foreign_key":
                return jwt.encode(header, claims, self.foreign, algorithms=["ES256"])
            case "own_key":  # the attacker's, in the token itself
                carried = header | {"jwk": self.foreign.as_dict(private=False)}
                return jwt.encode(carried, claims, self.foreign, algorithms=["ES256"])
            case "unknown_kid":
                return jwt.encode(header | {"kid": "nobody's"}, claims, self.key, algorithms=["ES256"])
            case "no_token":
                return ""
        return jwt.encode(header, claims, self.key, algorithms=["ES256"])

    async def keys(self, _: Request) -> Response:
        self.asked_for_keys += 1
        return JSONResponse({"keys": [self.key.as_dict(private=False) | {"use": "sig", "alg": "ES256", "kid": KEY_ID}]})

    async def me(self, request: Request) -> Response:
        """Facebook's Graph, of whose token it is."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        grant, proof = self.tokens.get(token), request.query_params.get("appsecret_proof", "")
        expected = hmac.new(self.settings.client_secret.value.encode(), token.encode(), "sha256").hexdigest()
        if grant is None or not hmac.compare_digest(proof, expected):
            return JSONResponse({"error": {"type": "OAuthException", "code": 100}}, 400)
        account = grant.account
        told: Claims = {"id": account.sub, "name": account.name}
        if account.email:
            told["email"] = account.email
        if grant.mischief == "no_id":
            del told["id"]
        told["picture"] = {"data": {"url": self.picture(grant), "is_silhouette": grant.mischief == "silhouette"}}
        return JSONResponse(told)

    def picture(self, grant: Grant) -> str:
        elsewhere = PICTURES_ELSEWHERE.get(grant.mischief)
        kind = grant.mischief if grant.mischief in PHOTOS else "plain"
        return elsewhere or f"{self.settings.public_url}/photos/{kind}/{grant.account.colour:06x}.png"

    async def photo(self, request: Request) -> Response:
        if request.path_params["kind"] == "photo_redirect":
            return RedirectResponse(f"{self.settings.public_url}/photos/plain/4f7cac.png", 302)
        made = PHOTOS.get(request.path_params["kind"])
        if made is None:
            return PlainTextResponse("There is no such photo.\n", 404)
        content, kind = made(int(request.path_params["colour"], 16))
        return Response(content, media_type=kind)

    def application(self) -> Starlette:
        routes: list[tuple[str, Callable[[Request], Awaitable[Response]], str]] = [
            ("/{provider}/authorize", self.authorize, "GET"),
            ("/{provider}/consent", self.consent, "POST"),
            ("/{provider}/token", self.token, "POST"),
            ("/google/keys", self.keys, "GET"),
            ("/facebook/me", self.me, "GET"),
            ("/photos/{kind}/{colour}.png", self.photo, "GET"),
            ("/healthz", healthy, "GET"),
        ]
        return Starlette(routes=[Route(path, answer, methods=[method]) for path, answer, method in routes])


async def healthy(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode("latin-1"), keep_blank_values=True))


def text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name, "")
    return value if isinstance(value, str) else ""


def elsewhere(settings: Settings, clock: Clock) -> Elsewhere:
    key = ECKey.import_key(settings.signing_key.value, {"kid": KEY_ID})
    return Elsewhere(settings, clock, key)


def main(settings: Settings) -> None:
    host, _, port = settings.listen.rpartition(":")
    app = elsewhere(settings, clock_from(settings)).application()
    # No access log: its lines would hold codes and who people are.
    uvicorn.Server(uvicorn.Config(app, host, int(port), log_level="warning", access_log=False)).run()


if __name__ == "__main__":
    main(load(Settings))
