"""Which program asks: by its token or, for a directory that can keep a password and nothing else, by its secret."""

import orjson
from rapport.identity.v1 import oauth_pb2 as pb
from rapport.identity.v1.oauth_pb2_grpc import OAuthServiceStub

from chassis.client import Metadata, as_person
from chassis.refusal import ScopeMissing, SignInNeeded, TokenInvalid
from gateway.http import Request
from gateway.sessions import Sessions, fit

SCOPE, BASIC = "scim", "basic "


class Credentials:
    """What identity is shown for a request."""

    def __init__(self, oauth: OAuthServiceStub, sessions: Sessions) -> None:
        self.oauth, self.sessions = oauth, sessions

    async def metadata(self, request: Request) -> Metadata:
        """The token of the program, or a refusal. Browsers, which have cookies, have no business here."""
        shown = request.header(b"authorization")
        if not shown:
            raise SignInNeeded("Send a token with the scope scim.")
        if shown[: len(BASIC)].lower() == BASIC:
            return as_person(await self.swapped(fit(shown)))
        return await self.sessions.metadata(request, is_public=False)

    async def swapped(self, basic: str) -> str:
        """A token for the secret of a client (RFC 6749, 2.3.1), for this request: who has lost it is out at once."""
        said = {"grant_type": "client_credentials", "scope": SCOPE}
        asked = pb.CallEndpointRequest(
            endpoint=pb.CallEndpointRequest.TOKEN,
            authorization=f"Basic {basic[len(BASIC) :]}",
            parameters=[pb.Parameter(name=name, value=value) for name, value in said.items()],
        )
        answer = await self.oauth.CallEndpoint(asked)
        told = orjson.loads(answer.body)
        if "access_token" in told:
            return str(told["access_token"])
        if told.get("error") == "invalid_scope":
            raise ScopeMissing("This program is not registered for that.", scope=SCOPE)
        raise TokenInvalid("The program is not known, or did not prove itself.")
