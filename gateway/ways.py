"""The cookies of a browser on its way to a provider and back: what binds the way to it, and what it came for."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import urlencode

from rapport.identity.v1 import social_pb2 as pb

from gateway.http import Headers, Request, pairs

# Lax: the browser comes back from another site, and our mail's link does, too.
SET = "{}={}; Max-Age={}; Path=/; Secure; HttpOnly; SameSite=Lax"
WAY = "__Host-rapport-way-"  # and a mark of the state: two tabs are two ways
CLAIM = "__Host-rapport-claim"
WAY_LASTS, CLAIM_LASTS = 600, 3600  # seconds, as identity keeps them
LONGEST = 2_500  # of a client's request: a cookie holds four kilobytes


@dataclass(frozen=True)
class Onward:
    """A client's request to go on with, asked at that time; nothing, for who came for their account."""

    asked: Sequence[tuple[str, str]] = ()
    since: datetime | None = None

    @property
    def request(self) -> str:
        return urlencode(self.asked)

    def packed(self) -> str:
        if not self.asked or self.since is None:
            return ""
        text = f"{int(self.since.timestamp())} {self.request}"
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def unpacked(text: str) -> Onward:
    try:
        said = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        since, _, request = said.partition(" ")
        return Onward(pairs(request), datetime.fromtimestamp(int(since), UTC)) if request else Onward()
    except (ValueError, OverflowError, OSError):
        return Onward()


def begun(told: pb.BeginSocialSignInResponse, onward: Onward) -> Headers:
    """What has a browser keep a way."""
    return [cookie(name_of(told.state), f"{told.browser_secret}.{onward.packed()}", WAY_LASTS)]


def of(request: Request, state: str) -> tuple[str, Onward]:
    """The secret that this browser keeps of a way, and what it goes on with: "" where it keeps none."""
    secret, _, onward = request.cookie(name_of(state)).partition(".")
    return secret, unpacked(onward)


def over(state: str) -> Headers:
    return [cookie(name_of(state), "", 0)]


def claimed(secret: str, onward: Onward) -> Headers:
    """What has a browser keep a claim until the one thing more is proven."""
    return [cookie(CLAIM, f"{secret}.{onward.packed()}", CLAIM_LASTS)]


def claim(request: Request) -> tuple[str, Onward]:
    secret, _, onward = request.cookie(CLAIM).partition(".")
    return secret, unpacked(onward)


def name_of(state: str) -> str:
    return WAY + sha256(state.encode()).hexdigest()[:16]


def cookie(name: str, value: str, lasts: int) -> tuple[bytes, bytes]:
    return b"set-cookie", SET.format(name, value, lasts).encode()


CLAIM_OVER: Headers = [cookie(CLAIM, "", 0)]
