"""Who a request is made for: a browser's cookie, swapped for a short token, or the token a client sent itself.

The token never reaches the browser (RFC 10017): it gets an opaque secret in a cookie that scripts cannot read, and a
request made with that cookie must come from a page of ours.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub
from starlette.requests import Request

from chassis.client import Metadata, as_person
from chassis.refusal import SignInNeeded
from chassis.time import Clock, moment
from gateway.refusals import OriginRefused

COOKIE = "__Host-rapport"
CLIENT_HEADER = "x-rapport-client"
SAFE = ("GET", "HEAD", "OPTIONS")
MARGIN = timedelta(seconds=10)  # a token is renewed before a service could find it ended
MOST = 10_000


@dataclass(frozen=True)
class Person:
    """Who is signed in, as far as the gateway needs to know."""

    token: str
    session: str  # users/{user}/sessions/{session}
    roles: tuple[str, ...]
    expire_time: datetime

    @property
    def user(self) -> str:
        return "/".join(self.session.split("/")[:2])


class Sessions:
    """Swaps cookies for tokens, and remembers each until it ends. Losing the memory costs a call, nothing else."""

    def __init__(self, identity: IdentityServiceStub, clock: Clock, origins: frozenset[str]) -> None:
        self.identity, self.clock, self.origins = identity, clock, origins
        self.known: OrderedDict[bytes, Person] = OrderedDict()

    async def metadata(self, request: Request) -> Metadata:
        """What a service is shown for this request: nothing, where nobody is signed in."""
        if bearer := request.headers.get("authorization"):
            return (("authorization", bearer),)
        secret = request.cookies.get(COOKIE)
        if not secret:
            return ()
        self.check_origin(request)
        return as_person((await self.person(secret)).token)

    async def signed_in(self, request: Request) -> Person:
        """The person of the cookie, or a refusal."""
        secret = request.cookies.get(COOKIE)
        if not secret:
            raise SignInNeeded("Sign in first.")
        return await self.person(secret)

    async def person(self, secret: str) -> Person:
        key = sha256(secret.encode()).digest()
        known = self.known.get(key)
        if known is not None and known.expire_time - MARGIN > self.clock():
            self.known.move_to_end(key)
            return known
        self.known.pop(key, None)
        issued = await self.identity.IssueAccessToken(pb.IssueAccessTokenRequest(secret=secret))
        person = Person(issued.access_token, issued.session, tuple(issued.roles), moment(issued.expire_time))
        self.known[key] = person
        while len(self.known) > MOST:
            self.known.popitem(last=False)
        return person

    def forget(self, secret: str) -> None:
        """Ask identity again for the next request: a service did not take the token, or the person signed out."""
        self.known.pop(sha256(secret.encode()).digest(), None)

    def check_origin(self, request: Request) -> None:
        """Refuse what another site makes a browser do in its user's name."""
        if request.method in SAFE:
            return
        origin = request.headers.get("origin")
        site = request.headers.get("sec-fetch-site", "same-origin")
        if (origin is not None and origin not in self.origins) or site not in ("same-origin", "none"):
            raise OriginRefused("This must be called from the store's own page.")
        if not request.headers.get(CLIENT_HEADER):
            raise OriginRefused("Send the header X-Rapport-Client: it proves that a script of an allowed page calls.")
