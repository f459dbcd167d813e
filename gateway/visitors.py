"""The browser that asks to sign in: what wrong passwords are counted by, so that nobody's guesses keep an owner out."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from rapport.identity.v1 import identity_pb2 as pb

from gateway.http import Headers, Request

Networks = Sequence[IPv4Network | IPv6Network]
COOKIE = "__Host-rapport-browser"  # it opens nothing: it says that somebody signed in here before
SET = "{}={}; Max-Age={}; Path=/; Secure; HttpOnly; SameSite=Strict"
YEAR = 365 * 24 * 3600
INNER = [
    ip_network(one)
    for one in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1", "fc00::/7")
]


class Visitors:
    """Tells identity who asks, by what the proxies before us are trusted to say."""

    def __init__(self, proxies: Networks) -> None:
        self.proxies = proxies

    def describe(self, asked: pb.CreateSessionRequest, request: Request) -> None:
        asked.user_agent = request.header(b"user-agent")[:1000]
        asked.client_address = self.address_of(request)
        asked.browser_secret = request.cookie(COOKIE)[:100]

    def address_of(self, request: Request) -> str:
        """Where the request comes from: the last address on its way that is no proxy of ours; "" where nobody says."""
        way = [*request.header(b"x-forwarded-for").split(","), request.peer]
        for said in map(str.strip, reversed(way)):
            try:
                address = ip_address(said)
            except ValueError:
                return ""
            if not any(address in proxies for proxies in self.proxies):
                # A proxy that we were not told of is not where anybody calls from: all would be counted as one.
                return "" if any(address in inner for inner in INNER) else str(address)
        return ""


def remembered(browser_secret: str) -> Headers:
    """What has the browser known at its next sign-in."""
    return [(b"set-cookie", SET.format(COOKIE, browser_secret, YEAR).encode())]
