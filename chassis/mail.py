"""Mail leaves by the same door as facts: written in the transaction that has cause for it, handed over afterwards.

    await send(session, to=email, person=user.id, template="welcome", subject="Welcome", text=..., html=...)

A mail is handed over at least once; its Message-ID stays the same, so that a copy is known for one. While that is under
way its row is locked: an erasure waits for it, and after an erasure nothing leaves. Handed over, the row is gone. One
that is refused is tried again, seven times over half a day; then it stays, FAILED, until it expires.

What it says is sealed while it waits, under a key of RAPPORT_MAIL_KEY_FILE: its links work, and who has a copy of the
database is to have none of them.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from functools import partial
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid4

import orjson
import structlog
from aiosmtplib import SMTP, SMTPException, SMTPNotSupported, SMTPRecipientsRefused, SMTPResponseException
from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import (
    CheckConstraint,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Row,
    Table,
    Text,
    Uuid,
    delete,
    insert,
    null,
    select,
    update,
)
from sqlalchemy import (
    text as sql,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import mapped_column

from chassis.database import Sessions, chassis_metadata
from chassis.jobs import Job, job
from chassis.personal_data import impersonal, personal, subject
from chassis.sealing import Sealer
from chassis.settings import Secret, ServiceSettings, SettingsError
from chassis.telemetry import MAILS

RETRIES = [timedelta(seconds=s) for s in (5, 30, 120, 600, 3_600, 14_400)]  # after the first attempt, the second ...
BATCH, BATCH_SECONDS = 50, 20.0
COMMAND_SECONDS, HAND_OVER_SECONDS = 10.0, 30.0
FOR_GOOD = 500  # what SMTP answers from here on will not change
SEALED, FAILED = "SEALED", "FAILED"
WAITING = "WAITING"  # in clear, as the release before this one wrote and still looks for it
CONTENT = Personal(category=Category.USER_CONTENT_PRIVATE, purpose=Purpose.ACCOUNT, secret=True)  # links sign people in
ADDRESS = Personal(category=Category.USER_CONTACT_EMAIL, purpose=Purpose.ACCOUNT, disclosed_to=["mail provider"])

log = structlog.get_logger()

# By the database's time: it is never ahead of the platform's, so nothing waits for it.
SOON = sql("now()")
IN_A_MONTH = sql("now() + interval '30 days'")

mail = Table(
    "mail",
    chassis_metadata,
    mapped_column("id", Uuid, primary_key=True).column,
    subject("", "person_id", Uuid, nullable=False).column,
    personal(ADDRESS, "recipient", Text, nullable=False).column,
    impersonal("the name of a template of ours", "template", Text, nullable=False).column,
    personal(CONTENT, "content", LargeBinary, nullable=True).column,
    # What the release before this one writes. The next one drops these four, and the state WAITING.
    personal(CONTENT, "subject", Text, nullable=True).column,
    personal(CONTENT, "text", Text, nullable=True).column,
    personal(CONTENT, "html", Text, nullable=True).column,
    personal(CONTENT, "headers", JSONB, nullable=True).column,
    impersonal("SEALED, WAITING or FAILED", "state", Text, nullable=False, server_default=WAITING).column,
    mapped_column("attempts", Integer, nullable=False, server_default="0").column,
    mapped_column("next_time", DateTime(timezone=True), nullable=False, server_default=SOON).column,
    mapped_column("expire_time", DateTime(timezone=True), nullable=False, server_default=IN_A_MONTH, index=True).column,
    CheckConstraint("state IN ('SEALED', 'WAITING', 'FAILED')", name="state"),
    Index("mail_waiting_idx", "next_time", postgresql_where=sql("state <> 'FAILED'")),
)

SEALER = "what seals mail"  # the key in `session.info`


@dataclass(frozen=True)
class Content:
    """What a mail says, without whom it is for."""

    subject: str
    text: str
    html: str | None
    headers: dict[str, str]


class KeyGone(Exception):  # noqa: N818 - it is what became of the key
    """No key of ours opens this mail any more."""


def seal_with(sessions: Sessions, key: Secret) -> None:
    """Have the mail of these sessions sealed, and opened, with the keys of RAPPORT_MAIL_KEY_FILE."""
    sessions.configure(info={SEALER: Sealer(key.value, "RAPPORT_MAIL_KEY_FILE")})


def sealed(session: AsyncSession, this: UUID, content: Content) -> bytes:
    sealer: Sealer = session.info[SEALER]
    return sealer.seal(orjson.dumps(asdict(content)), owner=this)


def opened(session: AsyncSession, row: Row[Any]) -> Content:
    """What the mail of a row says."""
    sealer: Sealer = session.info[SEALER]
    said = sealer.open(row.content, owner=row.id)
    if said is None:
        log.error("mail_key_missing", mail=row.id)
        raise KeyGone
    return Content(**orjson.loads(said))


async def send(
    session: AsyncSession,
    *,
    to: str,
    person: UUID,
    template: str,
    subject: str,
    text: str,
    html: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Send a mail if and only if this transaction commits. `person` is whom it is about; counts name the `template`."""
    this, one_line = uuid4(), " ".join(subject.split())  # a line break would begin another header
    content = sealed(session, this, Content(one_line, text, html, dict(headers or {})))
    await session.execute(
        insert(mail).values(id=this, person_id=person, recipient=to, template=template, content=content, state=SEALED)
    )


class Heard(Protocol):
    """Is told, in the transaction that settles a mail, whether its address was `refused` for good."""

    async def __call__(self, session: AsyncSession, person: UUID, to: str, *, refused: bool, now: datetime) -> None: ...


def sender(settings: ServiceSettings, heard: Heard | None = None) -> Job:
    """The job that hands mail over to the server in `settings`."""
    return Job("send_mail", timedelta(seconds=1), partial(hand_over, Server.of(settings), heard=heard))


@job(every=timedelta(hours=1))
async def forget_failed_mail(sessions: Sessions, now: datetime) -> int:
    """What could not be handed over goes after 30 days."""
    async with sessions.begin() as session:
        old = select(mail.c.id).where(mail.c.expire_time < now).limit(BATCH)
        return len((await session.execute(delete(mail).where(mail.c.id.in_(old)).returning(mail.c.id))).all())


@job(every=timedelta(minutes=1))
async def seal_mail_in_clear(sessions: Sessions, _: datetime) -> int:
    """Seal what a process of the release before wrote and has not handed over: from then on it is ours to send."""
    async with sessions.begin() as session:
        clear = select(mail).where(mail.c.content.is_(None)).limit(BATCH).with_for_update(skip_locked=True)
        rows = (await session.execute(clear)).all()
        for row in rows:
            content = sealed(session, row.id, Content(row.subject, row.text, row.html, row.headers))
            state = SEALED if row.state == WAITING else row.state
            emptied = {"subject": None, "text": None, "html": None, "headers": null()}
            this = update(mail).where(mail.c.id == row.id)
            await session.execute(this.values(content=content, state=state, **emptied))
        return len(rows)


@dataclass(frozen=True)
class Server:
    """Where mail goes, and whom it is from."""

    host: str
    port: int
    user: str | None
    password: Secret
    is_tls: bool
    mail_from: str

    @classmethod
    def of(cls, settings: ServiceSettings) -> "Server":
        url = urlsplit(settings.smtp_url)
        if url.scheme not in ("smtp", "smtps") or not url.hostname:
            raise SettingsError("RAPPORT_SMTP_URL must read smtp://host:port or smtps://user@host:port.")
        if "@" not in settings.mail_from:
            raise SettingsError("RAPPORT_MAIL_FROM must be an address: mail comes from it.")
        return cls(
            host=url.hostname,
            port=url.port or (465 if url.scheme == "smtps" else 25),
            user=unquote(url.username) if url.username else None,
            password=settings.smtp_password,
            is_tls=url.scheme == "smtps",
            mail_from=settings.mail_from,
        )

    def connection(self) -> SMTP:
        return SMTP(
            hostname=self.host,
            port=self.port,
            username=self.user,
            password=self.password.value if self.user else None,
            use_tls=self.is_tls,
            start_tls=False,  # encrypted from the first byte, or not at all
            timeout=COMMAND_SECONDS,
        )


async def hand_over(server: Server, sessions: Sessions, now: datetime, *, heard: Heard | None = None) -> int:
    """Hand over a batch of what waits. That the server is not there is the fault of no mail, and raised."""
    if not await is_anything_due(sessions, now):
        return 0
    done, until = 0, time.monotonic() + BATCH_SECONDS
    async with server.connection() as smtp:
        while done < BATCH and time.monotonic() < until and smtp.is_connected:
            if not await hand_over_one(server, smtp, sessions, now, heard):
                break
            done += 1
    return done


async def is_anything_due(sessions: Sessions, now: datetime) -> bool:
    async with sessions() as session:
        return await session.scalar(select(due(now).exists())) or False


def due(now: datetime) -> Any:
    return select(mail).where(mail.c.state == SEALED, mail.c.next_time <= now)


async def hand_over_one(
    server: Server, smtp: SMTP, sessions: Sessions, now: datetime, heard: Heard | None = None
) -> bool:
    async with sessions.begin() as session:
        next_one = due(now).order_by(mail.c.next_time).limit(1).with_for_update(skip_locked=True)
        row = (await session.execute(next_one)).one_or_none()
        if row is None:
            return False
        this = mail.c.id == row.id
        try:
            async with asyncio.timeout(HAND_OVER_SECONDS):
                made = message(row, opened(session, row), server.mail_from, now)
                await smtp.send_message(made, recipients=[row.recipient])
        except Exception as error:  # whatever it is: the mails behind this one do not wait for it
            after = after_failure(row, error, now)
            await session.execute(update(mail).where(this).values(after))
            result = "failed" if after["state"] == FAILED else "retried"
            # The error's type and code only: its text quotes the address.
            log.warning("mail_not_handed_over", mail=row.id, code=code_of(error), error=type(error).__name__)
            if not code_of(error):
                smtp.close()  # who knows where in the conversation we are
            if heard and is_no_mailbox(error):
                await heard(session, row.person_id, row.recipient, refused=True, now=now)
        else:
            await session.execute(delete(mail).where(this))
            result = "sent"
            if heard:
                await heard(session, row.person_id, row.recipient, refused=False, now=now)
    MAILS.labels(row.template, result).inc()
    return True


def after_failure(row: Row[Any], error: Exception, now: datetime) -> dict[str, Any]:
    attempts, passes = row.attempts + 1, isinstance(error, OSError | SMTPException) and code_of(error) < FOR_GOOD
    if not passes or isinstance(error, SMTPNotSupported) or attempts > len(RETRIES):
        return {"state": FAILED, "attempts": attempts}
    return {"state": SEALED, "attempts": attempts, "next_time": now + RETRIES[attempts - 1]}


def is_no_mailbox(error: Exception) -> bool:
    """Whether the server refused the recipient for good, and not us: 5.7 is what its policy minds (RFC 3463)."""
    return isinstance(error, SMTPRecipientsRefused) and all(
        one.code >= FOR_GOOD and not one.message.startswith("5.7.") for one in error.recipients
    )


def code_of(error: Exception) -> int:
    """What the server answered, 0 when it did not."""
    if isinstance(error, SMTPRecipientsRefused):
        return max(one.code for one in error.recipients)
    return error.code if isinstance(error, SMTPResponseException) else 0


def message(row: Row[Any], content: Content, mail_from: str, now: datetime) -> EmailMessage:
    """The mail as it travels."""
    made = EmailMessage()
    made["From"] = mail_from
    made["To"] = row.recipient
    made["Subject"] = content.subject
    made["Date"] = format_datetime(now)
    made["Message-ID"] = f"<{row.id}@{mail_from.rpartition('@')[2].rstrip('>')}>"
    made["Auto-Submitted"] = "auto-generated"
    made["X-Rapport-Person"] = str(row.person_id)
    for name, value in content.headers.items():
        made[name] = value
    made.set_content(content.text)
    if content.html is not None:
        made.add_alternative(content.html, subtype="html")
    return made
