"""Which other origins' pages may read what we answer. They call with a bearer token: no cookie crosses origins.

Where the protocol has programs call by themselves, a page of any origin may: no cookie is read there, and whoever signs
people in from a page has an origin of their own.
"""

from collections.abc import Sequence

from gateway.http import Headers, Request, Response

TAKEN = (
    b"Authorization, Content-Type, DPoP, If-Match, If-None-Match, Idempotency-Key, Traceparent, X-Rapport-Client, "
    b"X-Request-Id"
)
EXPOSED = b"DPoP-Nonce, ETag, Retry-After, WWW-Authenticate, X-Request-Id, Traceresponse, Rapport-Masked"
VARY = (b"vary", b"Origin")
ANY = (b"access-control-allow-origin", b"*")
OPEN = frozenset(
    {
        *("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/oauth/jwks"),
        *("/oauth/token", "/oauth/userinfo", "/oauth/revoke"),
    }
)


class Cors:
    """The allow-list. Our own pages are of the same origin, and need none of it."""

    def __init__(self, origins: frozenset[str]) -> None:
        self.origins = frozenset(origin.encode() for origin in origins)

    def headers(self, request: Request) -> Headers:
        """What every answer says."""
        if request.path in OPEN:
            return [ANY, (b"access-control-expose-headers", EXPOSED)]
        if not self.origins:
            return []
        origin = request.headers.get(b"origin", b"")
        if origin not in self.origins:
            return [VARY]
        return [VARY, (b"access-control-allow-origin", origin), (b"access-control-expose-headers", EXPOSED)]

    def preflight(self, request: Request, allowed: Sequence[str]) -> Response | None:
        """The answer to a browser that asks beforehand, if it is one and its page is on the list."""
        is_asking = request.method == "OPTIONS" and b"access-control-request-method" in request.headers
        if not is_asking or (request.path not in OPEN and request.headers.get(b"origin", b"") not in self.origins):
            return None
        headers = [
            (b"access-control-allow-methods", ", ".join(allowed).encode()),
            (b"access-control-allow-headers", TAKEN),
            (b"access-control-max-age", b"600"),
        ]
        return Response(status=204, headers=headers)
