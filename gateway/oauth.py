"""The HTTP face of the OAuth 2.1 and OpenID Connect provider. Identity decides; here are the addresses, the pages that
people sign in and consent on, without scripts, and what the protocol says of headers.

GET, POST /oauth/authorize    POST /oauth/sign-in, /oauth/second-factor, /oauth/consent    the browser's way
GET, POST /oauth/end-session    POST /oauth/sign-out    the browser's way out
POST /oauth/token, /oauth/par, /oauth/device_authorization, /oauth/introspect, /oauth/revoke    what clients call
GET, POST /oauth/userinfo    what they call with a person's token
GET /oauth/jwks    GET /.well-known/openid-configuration, oauth-authorization-server    what they read
"""

import hmac
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from math import ceil
from typing import Any
from urllib.parse import urlencode, urlsplit

import grpc
import orjson
from rapport.identity.v1 import factors_pb2, identity_pb2, oauth_pb2
from rapport.identity.v1.device_codes_pb2_grpc import DeviceCodeServiceStub
from rapport.identity.v1.factors_pb2_grpc import FactorsServiceStub
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub
from rapport.identity.v1.oauth_pb2_grpc import OAuthServiceStub

from chassis.refusal import refused
from gateway.device_codes import DeviceCodes, is_typed
from gateway.forms import FORM_COOKIE, form_cookie, hidden_fields, set_form, token_of
from gateway.http import Handler, Headers, Request, Response, pairs
from gateway.pages import HEADERS, Pages, policy
from gateway.providers import Providers, origins
from gateway.refusals import OriginRefused
from gateway.sessions import CLEARED, LINKED, Sessions, cookies, device_cookie, device_of, nonce_of
from gateway.visitors import Visitors, remembered

JSON: Headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
READABLE: Headers = [(b"content-type", b"application/json"), (b"cache-control", b"public, max-age=300")]
CALLED = {
    "token": oauth_pb2.CallEndpointRequest.TOKEN,
    "par": oauth_pb2.CallEndpointRequest.PUSHED_AUTHORIZATION,
    "device_authorization": oauth_pb2.CallEndpointRequest.DEVICE_AUTHORIZATION,
    "introspect": oauth_pb2.CallEndpointRequest.INTROSPECTION,
    "revoke": oauth_pb2.CallEndpointRequest.REVOCATION,
    "userinfo": oauth_pb2.CallEndpointRequest.USERINFO,
}
# What people are told they allow. A scope that is not here is named as it is.
SCOPES = {
    "openid": "Know that it is you",
    "profile": "See your name",
    "email": "See your e-mail address",
    "address": "See your address",
    "offline_access": "Go on when you have signed out",
    "profile.write": "Change your profile",
    "account.delete": "Delete your account",
    "sessions": "See and end where you are signed in",
    "orders": "See your orders",
    "points": "See your points",
    "tickets": "Read and write your messages to support",
    "privacy": "See and change your privacy choices",
}
CLAIMS = [
    *("sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce", "sid", "at_hash"),
    *("name", "updated_at", "email", "email_verified", "address"),
]
# What a sign-in comes to that did not work: the status of its page, and what that says.
UNKNOWN = "Check the address and the password."
WRONG = {
    grpc.StatusCode.UNAUTHENTICATED: (401, UNKNOWN),
    grpc.StatusCode.INVALID_ARGUMENT: (401, UNKNOWN),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (429, "That was tried too often. Wait a while, or choose another password."),
}
Captured = MutableMapping[str, str]
Fields = Sequence[tuple[str, str]]


class OAuth:
    """The provider's endpoints."""

    def __init__(
        self,
        oauth: OAuthServiceStub,
        device_codes: DeviceCodeServiceStub,
        identity: IdentityServiceStub,
        factors: FactorsServiceStub,
        sessions: Sessions,
        visitors: Visitors,
        pages: Pages,
        providers: Providers,
        issuer: str,
    ) -> None:
        self.oauth, self.identity, self.factors, self.sessions = oauth, identity, factors, sessions
        self.visitors, self.pages, self.providers, self.issuer = visitors, pages, providers, issuer
        self.typed = DeviceCodes(self, device_codes)

    def endpoints(self) -> Iterator[tuple[str, str, Handler]]:
        yield "GET", "/oauth/authorize", self.authorize
        yield "POST", "/oauth/authorize", self.authorize
        yield "POST", "/oauth/sign-in", self.sign_in
        yield "POST", "/oauth/second-factor", self.second_factor
        yield "POST", "/oauth/consent", self.consent
        yield "GET", "/oauth/end-session", self.end_session
        yield "POST", "/oauth/end-session", self.end_session
        yield "POST", "/oauth/sign-out", self.sign_out
        yield "GET", "/oauth/userinfo", self.called("userinfo")
        for name in CALLED:
            yield "POST", f"/oauth/{name}", self.called(name)
        yield from self.typed.endpoints()
        yield "GET", "/oauth/jwks", self.jwks
        yield "GET", "/.well-known/openid-configuration", self.discovery
        yield "GET", "/.well-known/oauth-authorization-server", self.discovery

    # The browser's way

    async def authorize(self, request: Request, _: Captured) -> Response:
        asked = pairs(request.query) if request.is_safe else await request.form()
        return await self.go_on(request, asked, request.cookie(LINKED))

    async def go_on(
        self,
        request: Request,
        asked: Fields,
        secret: str,
        *,
        since: datetime | None = None,
        decision: "oauth_pb2.AuthorizeRequest.Decision.ValueType" = oauth_pb2.AuthorizeRequest.DECISION_UNSPECIFIED,
    ) -> Response:
        """Send the browser where identity says, or show the page that is missing."""
        if is_typed(asked):
            return await self.typed.go_on(request, asked, secret, since=since, decision=decision)
        wanted = oauth_pb2.AuthorizeRequest(parameters=parameters(asked), session_secret=secret, decision=decision)
        if since is not None:
            wanted.ask_time.FromDatetime(since)
        try:
            answer = await self.oauth.Authorize(wanted)
        except grpc.aio.AioRpcError as error:
            return self.failed(error)
        match answer.WhichOneof("outcome"):
            case "redirect":
                return self.sent_on(answer.redirect)
            case "sign_in":
                shown: dict[str, Any] = {"client": answer.sign_in.client_title, "email": answer.sign_in.login_hint}
                shown["providers"] = await self.providers.offered()
                return self.form(request, "oauth_sign_in.html", asked, since, shown, to=answer.redirect_uri)
            case "consent":
                scopes = self.spoken(answer.consent.scopes)
                shown = {"client": answer.consent.client_title, "email": answer.consent.email, "scopes": scopes}
                return self.form(request, "oauth_consent.html", asked, since, shown, to=answer.redirect_uri)
        return self.problem(answer.problem.error, answer.problem.error_description)

    def spoken(self, scopes: Iterable[str]) -> Sequence[str]:
        """What people are told that they allow."""
        return [SCOPES.get(one, one) for one in scopes]

    async def sign_in(self, request: Request, _: Captured) -> Response:
        fields, asked, since = await self.ours(request)
        said = identity_pb2.CreateSessionRequest(
            email=fields.get("email", ""),
            password=fields.get("password", ""),
            device_secret=device_of(request),
            ask_always=wants_it_recent(asked),
        )
        self.visitors.describe(said, request)
        try:
            made = await self.identity.CreateSession(said)
        except grpc.aio.AioRpcError as error:
            if error.code() not in WRONG:
                return self.failed(error)
            status, wrong = WRONG[error.code()]
            shown: dict[str, Any] = {"client": fields.get("client", ""), "email": said.email, "wrong": wrong}
            shown["providers"], to = await self.providers.offered(), fields.get("to", "")
            return self.form(request, "oauth_sign_in.html", asked, since, shown, status=status, to=to)
        if made.HasField("second_factor"):
            response = self.ask_factor(request, asked, since, made.second_factor, fields)
            response.headers += remembered(made.browser_secret)
            return response
        response = await self.go_on(request, asked, made.secret, since=since)
        response.headers += [*cookies(made.secret), *remembered(made.browser_secret)]
        return response

    def ask_factor(
        self,
        request: Request,
        asked: Fields,
        since: datetime | None,
        missing: identity_pb2.SecondFactor,
        fields: Mapping[str, str],
    ) -> Response:
        """The page that asks for a code, and goes on from there."""
        shown = {"client": fields.get("client", ""), "challenge": missing.challenge}
        return self.form(request, "oauth_second_factor.html", asked, since, shown, to=fields.get("to", ""))

    async def second_factor(self, request: Request, _: Captured) -> Response:
        """Go on with a sign-in that waits for a code, of the app or from paper."""
        fields, asked, since = await self.ours(request)
        said = factors_pb2.ProveFactorRequest(
            challenge=fields.get("challenge", ""),
            trust_device="trust" in fields,
            device_secret=device_of(request),
            **proof_of(fields.get("code", "")),
        )
        try:
            made = await self.factors.ProveFactor(said)
        except grpc.aio.AioRpcError as error:
            return self.not_proven(request, error, fields, asked, since)
        if asked:
            response = await self.go_on(request, asked, made.secret, since=since)
        else:  # who came by an account elsewhere, and for their own
            response = gone_on("/#account")
        response.headers += [*cookies(made.secret), *device_cookie(made.device_secret)]
        return response

    def not_proven(
        self, request: Request, error: grpc.aio.AioRpcError, fields: Mapping[str, str], asked: Fields, since: datetime
    ) -> Response:
        told, shown = refused(error), {"client": fields.get("client", "")}
        if told.reason == "CHALLENGE_ENDED":
            shown |= {"email": "", "ended": "1"}
            return self.form(request, "oauth_sign_in.html", asked, since, shown, status=401, to=fields.get("to", ""))
        if told.reason not in ("CODE_WRONG", "INVALID_FIELD", "QUOTA_EXCEEDED"):
            return self.failed(error)
        wait = ceil(told.retry_after.total_seconds() / 60) if told.retry_after else 0
        shown |= {"challenge": fields.get("challenge", ""), "wrong": "1", "wait": str(wait) if wait else ""}
        status, to = 429 if wait else 401, fields.get("to", "")
        return self.form(request, "oauth_second_factor.html", asked, since, shown, status=status, to=to)

    async def consent(self, request: Request, _: Captured) -> Response:
        fields, asked, since = await self.ours(request)
        said = oauth_pb2.AuthorizeRequest
        decision = said.APPROVED if fields.get("decision") == "approve" else said.DENIED
        return await self.go_on(request, asked, request.cookie(LINKED), since=since, decision=decision)

    async def end_session(self, request: Request, _: Captured) -> Response:
        if request.is_safe:
            return await self.signed_out(request, pairs(request.query), confirmed=False)
        # What another site posts comes without the cookie, and would find nobody signed in.
        return gone_on(f"/oauth/end-session?{urlencode(await request.form())}")

    async def sign_out(self, request: Request, _: Captured) -> Response:
        fields, asked, _since = await self.ours(request)
        if fields.get("decision") != "sign-out":
            return self.page("action.html", title="You are still signed in", text="Nothing has changed.")
        return await self.signed_out(request, asked, confirmed=True)

    async def signed_out(self, request: Request, asked: Fields, *, confirmed: bool) -> Response:
        """Send the browser on with no session, ask the person, or show what is wrong."""
        secret = request.cookie(LINKED)
        wanted = oauth_pb2.EndSessionRequest(parameters=parameters(asked), session_secret=secret, confirmed=confirmed)
        try:
            answer = await self.oauth.EndSession(wanted)
        except grpc.aio.AioRpcError as error:
            return self.failed(error)
        match answer.WhichOneof("outcome"):
            case "confirm":
                shown = {"client": answer.confirm.client_title, "email": answer.confirm.email}
                return self.form(request, "oauth_sign_out.html", asked, None, shown)
            case "problem":
                return self.problem(answer.problem.error, answer.problem.error_description)
        title, text = "You are signed out", "Nobody is signed in to the store in this browser."
        response = gone_on(answer.done.uri) if answer.done.uri else self.page("action.html", title=title, text=text)
        if secret:
            self.sessions.forget(secret)
            response.headers += CLEARED
        return response

    async def ours(self, request: Request) -> tuple[dict[str, str], Fields, datetime]:
        """The fields of a form that this browser was given on our own page, the request it goes on with, and since when
        the person was asked."""
        self.sessions.check_origin(request)
        fields = dict(await request.form())
        cookie = request.cookie(FORM_COOKIE)
        if not cookie or not hmac.compare_digest(fields.get("form_token", ""), token_of(cookie)):
            raise OriginRefused("This form is not from a page of ours, or too old: go back and load it again.")
        try:
            since = datetime.fromtimestamp(int(fields.get("asked", "")), UTC)
        except (ValueError, OverflowError, OSError):
            raise OriginRefused("This form is not whole: go back and load it again.") from None
        return fields, pairs(fields.get("request", "")), since

    def form(
        self,
        request: Request,
        template: str,
        asked: Fields,
        since: datetime | None,
        shown: Mapping[str, Any],
        *,
        status: int = 200,
        to: str = "",
    ) -> Response:
        """A page with a form that goes on with the request, as it was asked, and in the end leads to that address."""
        cookie, began, said = form_cookie(request), since or self.sessions.clock(), dict(asked)
        hidden = hidden_fields(cookie, urlencode(asked), int(began.timestamp()))
        client = origin_of(to or said.get("redirect_uri") or said.get("post_logout_redirect_uri", ""))
        target = f"{client} {origins(shown.get('providers', ()))}".strip()
        if to:
            hidden["to"] = client
        response = self.page(template, status, target=target, hidden=hidden, **shown)
        response.headers.append(set_form(cookie))
        return response

    def sent_on(self, redirect: oauth_pb2.AuthorizeResponse.Redirect) -> Response:
        if redirect.form:
            target = origin_of(redirect.uri)
            return self.page("oauth_post.html", target=target, uri=redirect.uri, fields=redirect.form)
        return gone_on(redirect.uri)

    def problem(self, error: str, description: str) -> Response:
        text = f"The page that sent you here made a mistake ({error}). {description}"
        return self.page("action.html", 400, title="That did not work", text=text)

    def failed(self, error: grpc.aio.AioRpcError) -> Response:
        if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
            return self.problem("invalid_request", "A parameter is too long, or there are too many.")
        return self.page("action.html", 503, title="Not yet", text="That did not work just now. Please try again.")

    def page(self, template: str, status: int = 200, *, target: str = "", **said: Any) -> Response:
        headers = [one for one in HEADERS if one[0] not in (b"content-security-policy", b"referrer-policy")]
        headers += [(b"content-security-policy", policy(target)), NO_REFERRER, (b"cache-control", b"no-store")]
        return Response(self.pages.rendered(template, **said), status, headers)

    # What clients call

    def called(self, name: str) -> Handler:
        async def answer(request: Request, _: Captured) -> Response:
            fields = await request.form() if request.method == "POST" else []
            wanted = oauth_pb2.CallEndpointRequest(
                endpoint=CALLED[name],
                parameters=parameters(fields),
                authorization=request.header(b"authorization"),
                proof=request.every(b"dpop"),
                method=request.method,
            )
            try:
                told = await self.oauth.CallEndpoint(wanted)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                    raise
                said = {"error": "invalid_request", "error_description": refused(error).message}
                return Response(orjson.dumps(said), 400, [*JSON])
            headers = [*JSON, *nonce_of(told.dpop_nonce)]
            if told.www_authenticate:
                headers.append((b"www-authenticate", told.www_authenticate.encode()))
            return Response(told.body, told.status, headers)

        return answer

    # What clients read

    async def jwks(self, _: Request, __: Captured) -> Response:
        found = await self.identity.GetJwks(identity_pb2.GetJwksRequest())
        keys = [{field.name: value for field, value in key.ListFields()} for key in found.keys]
        return Response(orjson.dumps({"keys": keys}), headers=[*READABLE])

    async def discovery(self, _: Request, __: Captured) -> Response:
        """OpenID Connect Discovery, 3; RFC 8414, 2. All of it hangs on the one public address, on no Host header."""
        published = await self.identity.GetJwks(identity_pb2.GetJwksRequest())
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/oauth/authorize",
            "token_endpoint": f"{self.issuer}/oauth/token",
            "end_session_endpoint": f"{self.issuer}/oauth/end-session",
            "userinfo_endpoint": f"{self.issuer}/oauth/userinfo",
            "introspection_endpoint": f"{self.issuer}/oauth/introspect",
            "revocation_endpoint": f"{self.issuer}/oauth/revoke",
            "pushed_authorization_request_endpoint": f"{self.issuer}/oauth/par",
            "require_pushed_authorization_requests": False,
            "jwks_uri": f"{self.issuer}/oauth/jwks",
            "scopes_supported": list(SCOPES),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "form_post"],
            "device_authorization_endpoint": f"{self.issuer}/oauth/device_authorization",
            "grant_types_supported": GRANTS,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": sorted({key.alg for key in published.keys}),
            **proving("token", *PROVING, "none"),
            **proving("introspection", *PROVING),
            **proving("revocation", *PROVING, "none"),
            "dpop_signing_alg_values_supported": SIGNED_WITH,
            "code_challenge_methods_supported": ["S256"],
            "prompt_values_supported": ["none", "login", "consent", "select_account"],
            "claims_supported": CLAIMS,
            "acr_values_supported": ["pwd", "ext", "mfa"],
            "claims_parameter_supported": True,
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
            "authorization_response_iss_parameter_supported": True,
            "claim_types_supported": ["normal"],
            "display_values_supported": ["page"],
            "ui_locales_supported": ["en"],
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
        }
        return Response(orjson.dumps(said), headers=[*READABLE])


NO_REFERRER = (b"referrer-policy", b"no-referrer")
GRANTS = [
    "authorization_code",
    "refresh_token",
    "client_credentials",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:token-exchange",
]
PROVING = ("private_key_jwt", "client_secret_basic", "client_secret_post")
SIGNED_WITH = ["ES256", "PS256", "Ed25519", "EdDSA"]  # by programs, whatever it is that they sign


def proving(endpoint: str, *ways: str) -> Mapping[str, Sequence[str]]:
    """How programs prove themselves at an endpoint (RFC 8414, 2)."""
    return {
        f"{endpoint}_endpoint_auth_methods_supported": ways,
        f"{endpoint}_endpoint_auth_signing_alg_values_supported": SIGNED_WITH,
    }


def gone_on(uri: str) -> Response:
    # 303, so that what was posted to us goes nowhere else (RFC 9700, 4.12).
    return Response(status=303, headers=[(b"location", uri.encode()), (b"cache-control", b"no-store"), NO_REFERRER])


def wants_it_recent(asked: Fields) -> bool:
    """Whether the program wants to know that it is them, now: a device that is trusted does not tell."""
    said = dict(asked)
    return "max_age" in said or not {"login", "select_account"}.isdisjoint(said.get("prompt", "").split())


def proof_of(typed: str) -> dict[str, str]:
    """Six digits are of the app, anything else is from paper."""
    bare = "".join(typed.split())
    return {"code": bare} if bare.isdigit() and len(bare) == 6 else {"recovery_code": typed[:50]}


def parameters(fields: Fields) -> list[oauth_pb2.Parameter]:
    return [oauth_pb2.Parameter(name=name, value=value) for name, value in fields if name]


def origin_of(uri: str) -> str:
    """What a form may lead on to: without it, browsers stop a sign-in at the redirect after it."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:" if parts.scheme else ""
