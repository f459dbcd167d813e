"""Calls to addresses that somebody else chose. Such an address must not lead inside: it is https at a public address,
or http at a loopback one, by which whoever chose it says that it is on this very machine.

A name is looked up once and the connection goes to what was found, so that no second look-up can say something else.
Nothing is followed, and of an answer nothing but its status is read.
"""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

import httpcore

SECONDS = 5.0  # for a call, from the first byte to the last
GLOBAL = IPv6Network("2000::/3")  # what is given out to the internet; what leads to IPv4 from elsewhere is not in it


class NotOutside(httpcore.ConnectError):
    """The address leads inside."""


class Guarded(httpcore.AsyncNetworkBackend):
    """Connects to public addresses only, and to loopback where `loopback` says so."""

    def __init__(self, *, loopback: bool) -> None:
        self.loopback, self.below = loopback, httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as it is called
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        address = await self.resolved(host, port)
        return await self.below.connect_tcp(address, port, timeout, local_address, socket_options)

    async def resolved(self, host: str, port: int) -> str:
        """What the host's name stands for; refused if any of it leads inside."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port)
        except OSError:
            raise httpcore.ConnectError("There is no such host.") from None
        addresses = [str(one[4][0]) for one in found]
        if not addresses or not all(self.allows(one) for one in addresses):
            raise NotOutside("The address leads inside.")
        return addresses[0]

    def allows(self, address: str) -> bool:
        known = ip_address(address.partition("%")[0])
        return known.is_loopback if self.loopback else is_public(known)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is somebody's on the internet."""
    if isinstance(address, IPv6Address) and (address not in GLOBAL or address.sixtofour or address.teredo):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def unfit(uri: str) -> str:
    """Why nobody is called there; "" where they may be, as far as that can be seen before the name is looked up."""
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "This is no address."
    if "#" in uri or "@" in parts.netloc or not uri.isascii() or any(one.isspace() for one in uri):
        return "This takes an exact address: no #fragment, no user, no blanks."
    if parts.scheme == "http" and is_loopback(host):
        return ""
    if parts.scheme != "https" or not host:
        return "This takes https, or http on a loopback address: http://127.0.0.1/signed-out."
    try:
        return "" if is_public(ip_address(host)) else "This takes a public address."
    except ValueError:
        return ""


async def post(uri: str, form: bytes, *, headers: Mapping[str, str], trust: ssl.SSLContext | None = None) -> int:
    """Post a form there; the status of the answer. Raises httpcore's errors, OSError and TimeoutError."""
    guarded = Guarded(loopback=urlsplit(uri).scheme == "http")
    said = {"content-type": "application/x-www-form-urlencoded", **headers}
    async with (
        asyncio.timeout(SECONDS),
        httpcore.AsyncConnectionPool(ssl_context=trust, network_backend=guarded) as pool,
        pool.stream("POST", uri, headers=list(said.items()), content=form) as answer,
    ):
        return answer.status
