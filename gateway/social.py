"""The browser's way to Google or Facebook and back. Identity decides; here are the addresses, and the pages for whom
something is still missing, or went wrong.

POST /social/{provider}    the form of our own pages: sends the browser there
POST /social/{provider}/link    the same for who is signed in, from our own scripts -> {"uri": ...}
GET  /social/{provider}/callback    where it comes back to
POST /social/address, /social/password    the one thing more, from the page that asked for it
GET  /social/confirm    what our mail leads to; POST /social/confirm {"token": ...} from its script
POST /social/{provider}/data-deletion, /social/{provider}/deauthorize    what Facebook tells by itself
GET  /social/deletions/{code}    what came of a deletion
"""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import grpc
import orjson
import structlog
from rapport.identity.v1 import social_pb2 as pb
from rapport.identity.v1.social_pb2_grpc import SocialServiceStub

from chassis.refusal import refused
from gateway import ways
from gateway.browser import Browser
from gateway.codec import Codec
from gateway.http import Handler, Request, Response, pairs
from gateway.oauth import JSON, OAuth, gone_on
from gateway.problems import of_body
from gateway.providers import Providers
from gateway.sessions import COOKIE, LINKED, Sessions, cookies
from gateway.ways import Onward

PATIENCE = 12.0  # seconds: the provider is asked three times at most, for three seconds each
NO_CLAIM = "none"  # where the browser has no cookie: identity refuses it as any that it does not know
Captured = MutableMapping[str, str]
log = structlog.get_logger()

# What people are told, by what identity refused with: a title, what to do, and the status.
PAGES = {
    "SOCIAL_PROVIDER_UNKNOWN": ("That is not offered here", "Go back and choose another way to sign in.", 404),
    "SOCIAL_STATE_INVALID": (
        "Please begin again",
        "That took too long, was done already, or began in another browser. Go back to the store and begin again.",
        400,
    ),
    "SOCIAL_CLAIM_INVALID": (
        "Please begin again",
        "That took longer than an hour, or began in another browser. Go back to the store and begin again.",
        400,
    ),
    "SOCIAL_DENIED": (
        "You are not signed in",
        "You did not let us ask who you are, so nothing has changed. Try again, or sign in in another way.",
        403,
    ),
    "SOCIAL_PROVIDER_FAILED": (
        "They do not answer just now",
        "The other side does not answer as it should. Try again in a moment, or sign in in another way.",
        503,
    ),
    "SOCIAL_ANSWER_INVALID": (
        "That did not prove who you are",
        "The answer from the other side was not what it should have been. Go back to the store and begin again.",
        400,
    ),
    "EXTERNAL_IDENTITY_TAKEN": (
        "That belongs to another account",
        "Somebody signs in to another account of the store with it. If that is you, sign in there and end the link.",
        409,
    ),
    "USER_DELETING": (
        "That account is being deleted",
        "When that is done, in a few minutes, you can register again.",
        409,
    ),
    "USER_DISABLED": ("That account is switched off", "Ask who manages the accounts where you work.", 409),
    "SESSION_ENDED": ("Please sign in first", "You were signed out meanwhile. Sign in, and link it again.", 401),
    "QUOTA_EXCEEDED": ("That was too often", "We sent several mails already. Look for them, or try again later.", 429),
    "EMAIL_TAKEN": ("You have an account already", "Sign in to it, and link the other one there.", 409),
}
NOT_YET = ("Not yet", "That did not work just now. Please try again in a moment.", 503)


class Social:
    """Both ways, for browsers with and without scripts."""

    def __init__(
        self, social: SocialServiceStub, providers: Providers, oauth: OAuth, browser: Browser, sessions: Sessions
    ) -> None:
        self.social, self.providers, self.oauth = social, providers, oauth
        self.browser, self.sessions = browser, sessions
        self.read = Codec().encoder(pb.ConfirmSocialAddressRequest.DESCRIPTOR)

    def endpoints(self) -> Iterator[tuple[str, str, Handler]]:
        yield "POST", "/social/address", self.give_address
        yield "POST", "/social/password", self.prove_password
        yield "GET", "/social/confirm", self.confirmation
        yield "POST", "/social/confirm", self.confirm
        yield "GET", "/social/deletions/{code}", self.deletion
        yield "POST", "/social/{provider}", self.begin
        yield "POST", "/social/{provider}/link", self.begin_link
        yield "GET", "/social/{provider}/callback", self.come_back
        yield "POST", "/social/{provider}/data-deletion", self.delete_data
        yield "POST", "/social/{provider}/deauthorize", self.deauthorize

    # There

    async def begin(self, request: Request, captured: Captured) -> Response:
        """Send the browser to the provider, from a form of our own."""
        _, asked, since = await self.oauth.ours(request)
        onward = Onward(asked, since)
        if len(onward.request) > ways.LONGEST:
            return self.oauth.problem("invalid_request", "It is too long to go on with after another page.")
        try:
            told = await self.social.BeginSocialSignIn(pb.BeginSocialSignInRequest(provider=captured["provider"]))
        except grpc.aio.AioRpcError as error:
            return self.refusal(error)
        response = gone_on(told.uri)
        response.headers += ways.begun(told, onward)
        return response

    async def begin_link(self, request: Request, captured: Captured) -> Response:
        """Say where the browser has to go, for who is signed in."""
        self.sessions.check_page(request)
        await self.sessions.signed_in(request)
        wanted = pb.BeginSocialSignInRequest(provider=captured["provider"], session_secret=request.cookie(COOKIE))
        told = await self.social.BeginSocialSignIn(wanted)
        return Response(orjson.dumps({"uri": told.uri}), headers=[*JSON, *ways.begun(told, Onward())])

    # And back

    async def come_back(self, request: Request, captured: Captured) -> Response:
        said = dict(pairs(request.query))
        state = said.get("state", "")
        secret, onward = ways.of(request, state)
        if not state or not secret:
            return self.page("SOCIAL_STATE_INVALID")
        wanted = pb.CompleteSocialSignInRequest(
            provider=captured["provider"],
            state=state,
            browser_secret=secret,
            code=said.get("code", ""),
            error=said.get("error", ""),
            iss=said.get("iss", ""),
            session_secret=request.cookie(LINKED),
            user_agent=request.header(b"user-agent")[:1000],
        )
        try:
            answer = await self.social.CompleteSocialSignIn(wanted, timeout=PATIENCE)
        except grpc.aio.AioRpcError as error:
            response = self.refusal(error)
        else:
            response = await self.went_well(request, answer, captured["provider"], onward)
        response.headers += ways.over(state)
        return response

    async def went_well(
        self, request: Request, answer: pb.CompleteSocialSignInResponse, provider: str, onward: Onward
    ) -> Response:
        match answer.WhichOneof("outcome"):
            case "signed_in":
                return await self.signed_in(request, answer.signed_in, onward)
            case "password_needed":
                claim, template = answer.password_needed, "social_password.html"
            case "address_needed":
                claim, template = answer.address_needed, "social_address.html"
            case _:
                return gone_on("/#account")
        offered = await self.providers.offered()
        title = next((one.title for one in offered if one.provider == provider), provider)
        told = {"name": claim.account_name, "email": claim.email, "provider": title}
        response = self.form(request, template, onward, told)
        response.headers += ways.claimed(claim.secret, onward)
        return response

    async def signed_in(self, request: Request, session: pb.SocialSession, onward: Onward) -> Response:
        """Set the cookies, and go on with what the person came for: a client's request, or their account. Who has a
        second factor is asked for it first."""
        if session.HasField("second_factor"):
            shown = {"client": "your account"} if not onward.asked else {"client": "where you came from"}
            response = self.oauth.ask_factor(request, onward.asked, onward.since, session.second_factor, shown)
            response.headers += ways.CLAIM_OVER
            return response
        if earlier := request.cookie(LINKED):
            await self.browser.end(earlier)  # a browser holds one session: what it had before ends
        if onward.asked:
            response = await self.oauth.go_on(request, onward.asked, session.secret, since=onward.since)
        else:
            response = gone_on("/#account")
        response.headers += [*cookies(session.secret), *ways.CLAIM_OVER]
        return response

    # One thing more

    async def give_address(self, request: Request, _: Captured) -> Response:
        fields, asked, since = await self.oauth.ours(request)
        email, (secret, _onward) = fields.get("email", "").strip(), ways.claim(request)
        if not secret:
            return self.page("SOCIAL_CLAIM_INVALID")
        try:
            await self.social.GiveSocialAddress(pb.GiveSocialAddressRequest(claim_secret=secret, email=email))
        except grpc.aio.AioRpcError as error:
            if refused(error).reason not in ("EMAIL_MALFORMED", "INVALID_FIELD"):
                return self.refusal(error)
            return self.again(request, "social_address.html", fields, Onward(asked, since), 400)
        text = (
            "We sent you a mail. Open its link in this browser, within an hour, and your account is ready. If that "
            "address has an account already, the mail says so."
        )
        return self.oauth.page("action.html", title="Look into your mailbox", text=text)

    async def prove_password(self, request: Request, _: Captured) -> Response:
        fields, asked, since = await self.oauth.ours(request)
        onward, (secret, _onward) = Onward(asked, since), ways.claim(request)
        if not secret:
            return self.page("SOCIAL_CLAIM_INVALID")
        wanted = pb.ProveSocialPasswordRequest(
            claim_secret=secret,
            password=fields.get("password", ""),
            user_agent=request.header(b"user-agent")[:1000],
        )
        try:
            session = await self.social.ProveSocialPassword(wanted)
        except grpc.aio.AioRpcError as error:
            if refused(error).reason not in ("SIGN_IN_FAILED", "INVALID_FIELD"):
                return self.refusal(error)
            return self.again(request, "social_password.html", fields, onward, 401)
        return await self.signed_in(request, session, onward)

    async def confirmation(self, _: Request, __: Captured) -> Response:
        return self.oauth.page("action.html", title="Confirm your address", component="confirm-social")

    async def confirm(self, request: Request, _: Captured) -> Response:
        """Make the account that a mailed link confirms, for the script of that page."""
        self.sessions.check_page(request)
        asked = pb.ConfirmSocialAddressRequest.FromString(self.read(await request.json() or b"{}"))
        secret, onward = ways.claim(request)
        asked.claim_secret, asked.user_agent = secret or NO_CLAIM, request.header(b"user-agent")[:1000]
        try:
            made = await self.social.ConfirmSocialAddress(asked)
        except grpc.aio.AioRpcError as error:
            raise of_body(error, pb.ConfirmSocialAddressRequest.DESCRIPTOR) from None
        if earlier := request.cookie(LINKED):
            await self.browser.end(earlier)
        body = {"onward": f"/oauth/authorize?{onward.request}" if onward.asked else "/#account"}
        return Response(orjson.dumps(body), headers=[*JSON, *cookies(made.secret), *ways.CLAIM_OVER])

    # What Facebook tells by itself

    async def delete_data(self, request: Request, captured: Captured) -> Response:
        """Its answer is Facebook's own: where the person may look, and by which code they may ask."""
        kind = pb.TakeSignedRequestRequest.DELETION
        told = await self.take(request, captured["provider"], kind)
        code = told.confirmation_code
        body = {"url": f"{self.oauth.issuer}/social/deletions/{code}", "confirmation_code": code}
        return Response(orjson.dumps(body), headers=[*JSON])

    async def deauthorize(self, request: Request, captured: Captured) -> Response:
        await self.take(request, captured["provider"], pb.TakeSignedRequestRequest.DEAUTHORIZATION)
        return Response(b"{}", headers=[*JSON])

    async def take(
        self, request: Request, provider: str, kind: "pb.TakeSignedRequestRequest.Kind.ValueType"
    ) -> pb.TakeSignedRequestResponse:
        signed = dict(await request.form()).get("signed_request", "")
        wanted = pb.TakeSignedRequestRequest(provider=provider, kind=kind, signed_request=signed)
        return await self.social.TakeSignedRequest(wanted)

    async def deletion(self, _: Request, captured: Captured) -> Response:
        wanted = pb.GetSocialDeletionRequest(confirmation_code=captured["code"])
        try:
            found = await self.social.GetSocialDeletion(wanted)
        except grpc.aio.AioRpcError as error:
            if refused(error).reason not in ("LINK_INVALID", "INVALID_FIELD"):
                return self.refusal(error)
            text = "There is no deletion by this code, or it was more than 90 days ago."
            return self.oauth.page("action.html", 404, title="That code is not known", text=text)
        day = f"{found.create_time.ToDatetime():%d %B %Y}"
        if not found.erasure:
            text = f"What came from there was deleted on {day}. An account with another way in stays its owner's."
            return self.oauth.page("action.html", title="It is deleted", text=text)
        text = f"Since {day} the whole account is being erased. The receipt says how far that is."
        link = f"/v1/{found.erasure}"
        return self.oauth.page("action.html", title="It is being deleted", text=text, link=link, words="The receipt")

    # Pages

    def form(
        self, request: Request, template: str, onward: Onward, told: Mapping[str, Any], *, status: int = 200
    ) -> Response:
        """A page with a form that goes on with what the person came for."""
        return self.oauth.form(request, template, onward.asked, onward.since, told, status=status)

    def again(
        self, request: Request, template: str, fields: Mapping[str, str], onward: Onward, status: int
    ) -> Response:
        """The same page once more, with what was wrong."""
        told = {name: fields.get(name, "") for name in ("name", "email", "provider")}
        return self.form(request, template, onward, told | {"wrong": True}, status=status)

    def refusal(self, error: grpc.aio.AioRpcError) -> Response:
        reason = refused(error).reason
        if reason == "INVALID_FIELD":  # a state or a code that is none
            reason = "SOCIAL_STATE_INVALID"
        if reason not in PAGES:
            log.warning("social_failed", code=error.code().name, reason=reason)
        return self.page(reason)

    def page(self, reason: str) -> Response:
        title, text, status = PAGES.get(reason, NOT_YET)
        return self.oauth.page("action.html", status, title=title, text=text, link="/#account", words="To the store")
