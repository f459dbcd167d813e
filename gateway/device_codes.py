"""The page where people type the code that a device shows them (RFC 8628, 3.3), without scripts.

GET, POST /oauth/device

Signing in and consenting are the pages of any sign-in: the code goes with them as the request that they go on with.
"""

from collections.abc import Iterator, MutableMapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import grpc
from rapport.identity.v1.device_codes_pb2 import AnswerDeviceCodeRequest
from rapport.identity.v1.device_codes_pb2_grpc import DeviceCodeServiceStub
from rapport.identity.v1.oauth_pb2 import AuthorizeRequest

from gateway.http import Handler, Request, Response, pairs
from gateway.sessions import LINKED

if TYPE_CHECKING:
    from gateway.oauth import OAuth

CODE = "user_code"
Captured = MutableMapping[str, str]
Fields = Sequence[tuple[str, str]]
# What the consent page says, as it is said of a device.
DECIDED = {
    AuthorizeRequest.DECISION_UNSPECIFIED: AnswerDeviceCodeRequest.DECISION_UNSPECIFIED,
    AuthorizeRequest.APPROVED: AnswerDeviceCodeRequest.APPROVED,
    AuthorizeRequest.DENIED: AnswerDeviceCodeRequest.DENIED,
}


def is_typed(asked: Fields) -> bool:
    """Whether what a form goes on with is a device's code."""
    return [name for name, _ in asked] == [CODE]


class DeviceCodes:
    """The page, and what follows on it."""

    def __init__(self, oauth: "OAuth", stub: DeviceCodeServiceStub) -> None:
        self.oauth, self.stub = oauth, stub

    def endpoints(self) -> Iterator[tuple[str, str, Handler]]:
        yield "GET", "/oauth/device", self.show
        yield "POST", "/oauth/device", self.type

    async def show(self, request: Request, _: Captured) -> Response:
        return self.form(request, dict(pairs(request.query)).get(CODE, "")[:20])

    async def type(self, request: Request, _: Captured) -> Response:
        fields, _asked, since = await self.oauth.ours(request)
        return await self.go_on(request, [(CODE, fields.get(CODE, "")[:20])], request.cookie(LINKED), since=since)

    async def go_on(
        self,
        request: Request,
        asked: Fields,
        secret: str,
        *,
        since: datetime | None,
        decision: "AuthorizeRequest.Decision.ValueType" = AuthorizeRequest.DECISION_UNSPECIFIED,
    ) -> Response:
        """Show the page that is missing, or say that the device has its answer."""
        code = dict(asked)[CODE]
        wanted = AnswerDeviceCodeRequest(user_code=code, session_secret=secret, decision=DECIDED[decision])
        try:
            answer = await self.stub.AnswerDeviceCode(wanted)
        except grpc.aio.AioRpcError as error:
            return self.oauth.failed(error)
        match answer.WhichOneof("outcome"):
            case "sign_in":
                shown: dict[str, Any] = {"client": "your device", "email": ""}
                return self.oauth.form(request, "oauth_sign_in.html", asked, since, shown)
            case "consent":
                said = answer.consent
                scopes = self.oauth.spoken(said.scopes)
                shown = {"client": said.client_title, "email": said.email, "scopes": scopes, "code": said.user_code}
                return self.oauth.form(request, "oauth_consent.html", asked, since, shown)
            case "done" if answer.done.approved:
                return self.said("Your device is let in", "You can close this page and go back to it.")
            case "done":
                return self.said("Your device is not let in", "Nothing has changed.")
            case "limited":
                text = "Too many codes were tried. Wait ten minutes, and have the device show a new one."
                return self.said("Not now", text, 429)
        return self.form(request, code, wrong=True)

    def form(self, request: Request, code: str, *, wrong: bool = False) -> Response:
        shown = {"code": code, "wrong": wrong}
        return self.oauth.form(request, "oauth_device.html", [], None, shown, status=400 if wrong else 200)

    def said(self, title: str, text: str, status: int = 200) -> Response:
        return self.oauth.page("action.html", status, title=title, text=text)
