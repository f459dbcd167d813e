"""What does not change while the gateway runs: held in memory, and sent again only to who does not have it."""

from collections.abc import MutableMapping
from hashlib import sha256
from pathlib import Path

from gateway.http import Headers, Request, Response
from gateway.refusals import RouteNotFound

KINDS = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".png": b"image/png",
    ".svg": b"image/svg+xml",
    ".webp": b"image/webp",
    ".woff2": b"font/woff2",
}
ASKED_ANEW = (b"cache-control", b"no-cache")


class Kept:
    """One document."""

    def __init__(self, body: bytes, headers: Headers) -> None:
        self.body, self.etag = body, f'"{sha256(body).hexdigest()[:20]}"'
        self.headers = [*headers, ASKED_ANEW, (b"etag", self.etag.encode())]

    async def answer(self, request: Request, _: MutableMapping[str, str]) -> Response:
        if self.etag in request.header(b"if-none-match"):
            return Response(status=304, headers=[*self.headers])
        return Response(self.body, headers=[*self.headers])


class Shelf:
    """The files of one folder, by name."""

    def __init__(self, folder: Path) -> None:
        files = [path for path in folder.iterdir() if path.is_file()]
        self.files = {path.name: Kept(path.read_bytes(), [(b"content-type", KINDS[path.suffix])]) for path in files}

    async def answer(self, request: Request, captured: MutableMapping[str, str]) -> Response:
        kept = self.files.get(captured["file"])
        if kept is None:
            raise RouteNotFound("There is no such file.")
        return await kept.answer(request, captured)
