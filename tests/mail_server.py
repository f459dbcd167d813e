"""A mail server for tests, and what waits to be handed over to one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from sqlalchemy import select

from chassis.database import Sessions
from chassis.mail import Content, Server, mail, opened
from chassis.settings import Secret


@dataclass(frozen=True)
class Waiting(Content):
    """A mail that waits, as it would be read."""

    id: UUID
    person_id: UUID
    template: str


async def waiting(sessions: Sessions, to: str) -> list[Waiting]:
    """What waits to be mailed to an address, oldest first."""
    async with sessions() as session:
        rows = await session.execute(select(mail).where(mail.c.recipient == to).order_by(mail.c.next_time))
        return [
            Waiting(**vars(opened(session, row)), id=row.id, person_id=row.person_id, template=row.template)
            for row in rows
        ]


class Provider:
    """A mail server over a socket, which takes everything unless told otherwise."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.answer: Callable[[str], str] = lambda _: "250 OK"
        self.login: tuple[bytes, bytes] | None = None
        self.server: asyncio.Server | None = None

    async def handle_RCPT(self, *said: Any) -> str:
        _, _, envelope, to, _ = said
        answer = self.answer(to)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(to)
        return answer

    async def handle_DATA(self, *said: Any) -> str:
        envelope = said[2]
        self.taken.append(message_from_bytes(envelope.content, EmailMessage, policy=policy.default))
        self.recipients += envelope.rcpt_tos
        return "250 OK"

    def authenticate(self, *said: Any) -> AuthResult:
        shown: LoginPassword = said[4]
        self.login = (shown.login, shown.password)
        return AuthResult(success=True)

    async def listen(self, port: int = 0) -> int:
        def connected() -> SMTP:
            return SMTP(
                self,
                hostname="localhost",
                enable_SMTPUTF8=True,
                authenticator=self.authenticate,
                auth_require_tls=False,
            )

        self.server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", port)
        return int(self.server.sockets[0].getsockname()[1])

    def close(self) -> None:
        if self.server is not None:
            self.server.close()


@asynccontextmanager
async def at(provider: Provider) -> AsyncIterator[Server]:
    """Where `provider` listens, until the block is left."""
    try:
        yield Server("127.0.0.1", await provider.listen(), None, Secret(""), False, "shop@store.example.org")
    finally:
        provider.close()
