"""Stands in for the mail provider: takes everything by SMTP but what is for an address that it was told to refuse,
delivers nothing, and shows it on a page.

It is a third party to the platform, and so hears of an erased person as any other: by the event, as a consumer of its
own.
"""

import asyncio
import contextlib
import html
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from jinja2 import Environment, FileSystemLoader
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from chassis.settings import Secret, load
from deploy.local.mailbox import LINK, Mailbox

LARGEST = 1 << 20
PAGE = 100
MOST_REFUSED = 100
PATIENCE = 2.0  # seconds a question stands: a server that came back has forgotten it
STREAM, CONSUMER = "RAPPORT_IDENTITY_V1", "mail"
DELETED = "rapport.identity.v1.user.deleted.>"
PAGES = Environment(loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True)


@dataclass(frozen=True, kw_only=True)
class Settings:
    listen: str  # host:port of the page
    smtp_listen: str
    mailbox: Path  # the folder of the messages
    nats_url: str
    nats_user: str
    nats_password: Secret


class Delivery:
    """What aiosmtpd asks of us."""

    def __init__(self, mailbox: Mailbox, refused: set[str]) -> None:
        self.mailbox, self.refused = mailbox, refused

    # aiosmtpd calls them so, and with all of this.
    async def handle_RCPT(self, *said: Any) -> str:  # noqa: N802
        _, _, envelope, address, _ = said
        if address.lower() in self.refused:
            return "550 5.1.1 No such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        content = envelope.content
        self.mailbox.keep(content if isinstance(content, bytes) else (content or "").encode(), envelope.rcpt_tos)
        return "250 OK"


def application(mailbox: Mailbox, refused: set[str]) -> Starlette:
    def page(request: Request) -> Response:
        to = request.query_params.get("to", "")
        messages = [one.described() for one, _ in zip(mailbox.messages(to), range(PAGE), strict=False)]
        return HTMLResponse(PAGES.get_template("mailbox.html").render(messages=messages, to=to))

    def listed(request: Request) -> Response:
        found = zip(mailbox.messages(request.query_params.get("to", "")), range(PAGE), strict=False)
        return JSONResponse({"messages": [one.described() for one, _ in found]})

    def one(request: Request) -> Response:
        message = mailbox.message(request.path_params["id"])
        if message is None:
            return PlainTextResponse("There is no such message.\n", 404)
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse(message.described())
        shown = message.described()
        return HTMLResponse(PAGES.get_template("message.html").render(message=shown, text=linked(shown["text"])))

    def forget(request: Request) -> Response:
        return JSONResponse({"forgotten": mailbox.forget(str(request.path_params["person"]))})

    async def refuse(request: Request) -> Response:
        """From now on these addresses, and no others, are no mailboxes."""
        addresses = (await request.json())["addresses"]
        if len(addresses) > MOST_REFUSED:
            return PlainTextResponse(f"No more than {MOST_REFUSED}.\n", 400)
        refused.clear()
        refused.update(str(one).lower() for one in addresses)
        return JSONResponse({"refused": len(refused)})

    def healthy(request: Request) -> Response:  # noqa: ARG001
        return PlainTextResponse("ok\n")

    return Starlette(
        routes=[
            Route("/", page),
            Route("/messages", listed),
            Route("/messages/{id:int}", one),
            Route("/people/{person:uuid}", forget, methods=["DELETE"]),
            Route("/refusals", refuse, methods=["PUT"]),
            Route("/healthz", healthy),
        ]
    )


def linked(text: str) -> str:
    """Text as HTML, what looks like a link made one."""
    escaped = html.escape(text, quote=False)
    return LINK.sub(lambda found: f'<a href="{found[0]}">{found[0]}</a>', escaped)


async def forget_the_deleted(settings: Settings, mailbox: Mailbox) -> None:
    """Drop the mail of whoever is deleted. What was stated while this process was away is waiting for it."""
    client = await nats.connect(
        settings.nats_url,
        user=settings.nats_user,
        password=settings.nats_password.value,
        name="mail",
        inbox_prefix=f"_INBOX_{settings.nats_user or 'mail'}".encode(),
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.5,
        error_cb=ignored,
    )
    while True:
        try:
            subscription = await client.jetstream().pull_subscribe_bind(CONSUMER, STREAM)
            await drop_mail(subscription, mailbox)
        except NatsError:  # the server is away, or the stream is not there yet
            await asyncio.sleep(0.5)


async def drop_mail(subscription: JetStreamContext.PullSubscription, mailbox: Mailbox) -> None:
    while True:
        with contextlib.suppress(TimeoutError):
            for event in await subscription.fetch(1, timeout=PATIENCE):
                mailbox.forget(event.subject.rpartition(".")[2])  # the subject ends in the person
                await event.ack_sync()


async def ignored(error: Exception) -> None:
    """The loop that asks sees it too."""


@contextlib.asynccontextmanager
async def smtp(listen: str, mailbox: Mailbox, refused: set[str]) -> AsyncIterator[None]:
    host, _, port = listen.rpartition(":")
    loop = asyncio.get_running_loop()
    delivery = Delivery(mailbox, refused)
    server = await loop.create_server(
        lambda: SMTP(delivery, data_size_limit=LARGEST, hostname="localhost", loop=loop), host, int(port)
    )
    try:
        yield
    finally:
        server.close()


async def main(settings: Settings) -> None:
    mailbox, refused = Mailbox(settings.mailbox), set[str]()
    host, _, port = settings.listen.rpartition(":")
    # No access log: its lines would hold the addresses that are looked for.
    config = uvicorn.Config(application(mailbox, refused), host, int(port), log_level="warning", access_log=False)
    async with smtp(settings.smtp_listen, mailbox, refused):
        forgetting = asyncio.create_task(forget_the_deleted(settings, mailbox))
        await uvicorn.Server(config).serve()
        forgetting.cancel()


if __name__ == "__main__":
    asyncio.run(main(load(Settings)))
