"""Who a request is made for: a browser's cookie, swapped for a short token, or the token a client sent itself.

The token never reaches the browser (RFC 10017): it gets an opaque secret in a cookie that scripts cannot read, and a
request made with that cookie must come from a page of ours.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

import grpc
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub
from rapport.identity.v1.proofs_pb2 import CheckProofRequest
from rapport.identity.v1.proofs_pb2_grpc import ProofServiceStub

from chassis.client import Metadata, as_person
from chassis.refusal import SignInNeeded, TokenInvalid, refused
from chassis.time import Clock, moment
from chassis.tokens import DPOP
from gateway.http import Headers, Request
from gateway.refusals import OriginRefused

COOKIE = "__Host-rapport"  # Strict: our pages show nobody, only fetch so
# The same secret for who comes from another site's link to our sign-in page: read there, and nowhere else.
LINKED = "__Host-rapport-linked"
SET = "{}={}; Max-Age={}; Path=/; Secure; HttpOnly; SameSite={}"
MONTH = 30 * 24 * 3600


def cookies(secret: str, lasts: int = MONTH) -> Headers:
    """What has a browser keep the secret of its session."""
    return [
        (b"set-cookie", SET.format(name, secret, lasts, where).encode())
        for name, where in ((COOKIE, "Strict"), (LINKED, "Lax"))
    ]


CLEARED = cookies("", 0)
DEVICE = "__Host-rapport-device"  # by which a browser is known that has proven a second factor
HALF_A_YEAR = 180 * 24 * 3600


def device_cookie(secret: str) -> Headers:
    return [(b"set-cookie", SET.format(DEVICE, secret, HALF_A_YEAR, "Strict").encode())]


SECRET = re.compile(r"[\w-]{16,100}", re.ASCII)
SHOWN = re.compile(r"[\x20-\x7e]{1,8192}")  # what gRPC carries in its metadata
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
    """Swaps cookies for tokens, and remembers each until it ends or is revoked. Losing the memory costs a call."""

    def __init__(
        self,
        identity: IdentityServiceStub,
        proofs: ProofServiceStub,
        clock: Clock,
        revoked: Container[str],
        origin: str,
    ) -> None:
        self.identity, self.clock, self.revoked, self.origin = identity, clock, revoked, origin
        self.proofs = proofs
        self.known: OrderedDict[bytes, Person] = OrderedDict()
        self.asking: dict[bytes, asyncio.Task[Person]] = {}

    async def metadata(self, request: Request, *, is_public: bool) -> Metadata:
        """What a service is shown for this request: nothing, where nobody is signed in."""
        shown: Metadata = ()
        if b"x-rapport-service" in request.headers:  # a peer's own proof instead of ours: the shop's systems call so
            shown = (("x-rapport-service", fit(request.header(b"x-rapport-service"))),)
        if b"authorization" in request.headers:
            await self.check_proof(request)
            return (*shown, ("authorization", fit(request.header(b"authorization"))))
        secret = request.cookie(COOKIE)
        if not secret or (is_public and request.is_safe):  # what anybody may read is the same for everybody
            return shown
        self.check_page(request)
        try:
            return (*shown, *as_person((await self.person(secret)).token))
        except grpc.aio.AioRpcError as error:
            if is_public and error.code() is grpc.StatusCode.UNAUTHENTICATED:  # their session has ended: now a guest
                return shown
            raise

    async def check_proof(self, request: Request) -> None:
        """Have the holder of a bound token show its key, for this request (RFC 9449, 7): services rely on that."""
        scheme, _, token = request.header(b"authorization").partition(" ")
        if scheme != DPOP.strip():
            return
        asked = CheckProofRequest(
            proof=request.every(b"dpop"), method=request.method, path=request.path, access_token=fit(token)
        )
        try:
            request.owed += nonce_of((await self.proofs.CheckProof(asked)).nonce)
        except grpc.aio.AioRpcError as error:
            request.owed += nonce_of(refused(error).metadata.get("nonce", ""))
            raise

    async def signed_in(self, request: Request) -> Person:
        """The person of the cookie, or a refusal."""
        return await self.person(request.cookie(COOKIE))

    async def person(self, secret: str) -> Person:
        if not SECRET.fullmatch(secret):
            raise SignInNeeded("Sign in first.")
        key = key_of(secret)
        known = self.known.get(key)
        if known is not None and self.holds(known):
            self.known.move_to_end(key)
            return known
        self.known.pop(key, None)
        if (asking := self.asking.get(key)) is None:  # a page asks for many things at once: one of them swaps
            asking = self.asking[key] = asyncio.create_task(self.swap(secret))
            asking.add_done_callback(lambda _: self.asking.pop(key))
        return await asyncio.shield(asking)

    def holds(self, known: Person) -> bool:
        is_revoked = known.session in self.revoked or known.user in self.revoked
        return not is_revoked and known.expire_time - MARGIN > self.clock()

    async def swap(self, secret: str) -> Person:
        issued = await self.identity.IssueAccessToken(pb.IssueAccessTokenRequest(secret=secret))
        return self.keep(secret, issued)

    def keep(self, secret: str, issued: pb.IssueAccessTokenResponse) -> Person:
        """Remember whose secret it is, by the token that identity gave for it."""
        person = Person(issued.access_token, issued.session, tuple(issued.roles), moment(issued.expire_time))
        self.known[key_of(secret)] = person
        if len(self.known) > MOST:
            self.known.popitem(last=False)
        return person

    def forget(self, secret: str) -> None:
        """Ask identity again for the next request: a service did not take the token, or the person signed out."""
        self.known.pop(key_of(secret), None)

    def check_page(self, request: Request) -> None:
        """Refuse what another site makes a browser do in its user's name."""
        if request.is_safe:
            return
        self.check_origin(request)
        if b"x-rapport-client" not in request.headers:
            raise OriginRefused("Send the header X-Rapport-Client: it proves that a script of our own page calls.")

    def check_origin(self, request: Request) -> None:
        # Browsers say both, and no page can make them lie; where the first is not known to them the second is.
        site, origin = request.header(b"sec-fetch-site"), request.header(b"origin")
        is_ours = site in ("same-origin", "none") if site else origin in ("", self.origin)
        if not is_ours:
            raise OriginRefused("This must be called from the store's own page.")


def key_of(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def device_of(request: Request) -> str:
    """The secret that this browser is known by; "" where it is not, or shows something else."""
    secret = request.cookie(DEVICE)
    return secret if SECRET.fullmatch(secret) else ""


def nonce_of(nonce: str) -> Headers:
    """What a program is to say in its next proof (RFC 9449, 8.2)."""
    return [(b"dpop-nonce", nonce.encode())] if nonce else []


def fit(proof: str) -> str:
    if not SHOWN.fullmatch(proof):
        raise TokenInvalid("That is no token.")
    return proof
