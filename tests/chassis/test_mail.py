import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiosmtplib import SMTPException
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, delete, select, text
from structlog.testing import capture_logs

from chassis import mail
from chassis.database import Sessions
from chassis.jobs import Job, settle
from chassis.mail import (
    BATCH,
    RETRIES,
    Server,
    forget_failed_mail,
    hand_over,
    seal_mail_in_clear,
    seal_with,
    send,
    sender,
)
from chassis.migrations import seal_mail, told
from chassis.personal_data.residue import find
from chassis.settings import Secret, ServiceSettings, SettingsError
from chassis.telemetry import REGISTRY
from chassis.time import system_clock
from tests.mail_server import Provider, at

ADA = uuid4()
KEY, OTHER_KEY = Secret("3a" * 32), Secret("4b" * 32)


@pytest.fixture
def sessions(sessions: Sessions) -> Sessions:
    """Those of a database, as a service has them."""
    seal_with(sessions, KEY)
    return sessions


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
async def server(provider: Provider) -> AsyncIterator[Server]:
    async with at(provider) as server:
        yield server


async def post(sessions: Sessions, to: str = "ada@example.org", template: str = "welcome", **more: str) -> None:
    async with sessions.begin() as session:
        words = {"subject": "Welcome", "text": "Hello Ada."} | more
        await send(session, to=to, person=ADA, template=template, **words)  # type: ignore[arg-type]


async def rows(sessions: Sessions) -> list[tuple[str, int]]:
    async with sessions() as session:
        found = await session.execute(select(mail.mail.c.state, mail.mail.c.attempts).order_by(mail.mail.c.recipient))
        return [(row.state, row.attempts) for row in found]


def counted(template: str, result: str) -> float:
    return REGISTRY.get_sample_value("mails_total", {"template": template, "result": result}) or 0


async def test_a_mail_arrives_as_it_was_written(sessions: Sessions, server: Server, provider: Provider) -> None:
    now = system_clock()
    async with sessions.begin() as session:
        await send(
            session,
            to="ada@example.org",
            person=ADA,
            template="newsletter",
            subject="Привет, Ada",
            text="Hello Ada — welcome.",
            html="<p>Hello Ada — welcome.</p>",
            headers={
                "List-Unsubscribe": "<https://store.example.org/u/abc>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            },
        )
    assert await hand_over(server, sessions, now + timedelta(seconds=1)) == 1
    [taken] = provider.taken
    assert provider.recipients == ["ada@example.org"]
    assert (taken["From"], taken["To"], taken["Subject"]) == (
        "shop@store.example.org",
        "ada@example.org",
        "Привет, Ada",
    )
    assert taken["List-Unsubscribe"] == "<https://store.example.org/u/abc>"
    assert taken["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert (taken["X-Rapport-Person"], taken["Auto-Submitted"]) == (str(ADA), "auto-generated")
    assert re.fullmatch(r"<[0-9a-f-]{36}@store\.example\.org>", taken["Message-ID"])
    for kind, words in (("plain", "Hello Ada — welcome."), ("html", "<p>Hello Ada — welcome.</p>")):
        body = taken.get_body((kind,))
        assert body is not None
        assert body.get_content().strip() == words


async def test_a_mail_that_was_handed_over_is_gone(sessions: Sessions, server: Server, provider: Provider) -> None:
    await post(sessions)
    assert await settle([mailing(server)], sessions, later) == 1
    assert await rows(sessions) == []
    assert await settle([mailing(server)], sessions, later) == 0
    assert len(provider.taken) == 1


def later() -> datetime:
    """The platform's time, a little ahead of the database's."""
    return system_clock() + timedelta(seconds=1)


def mailing(server: Server) -> Job:
    async def work(sessions: Sessions, now: datetime) -> int:
        return await hand_over(server, sessions, now)

    return Job("send_mail", timedelta(seconds=1), work)


async def test_no_mail_leaves_for_a_transaction_that_fell(
    sessions: Sessions, server: Server, provider: Provider
) -> None:
    async with sessions() as session:
        await send(session, to="ada@example.org", person=ADA, template="welcome", subject="x", text="y")
        await session.rollback()
    assert await hand_over(server, sessions, later()) == 0


async def test_a_full_mailbox_is_tried_again_and_at_last_given_up(
    sessions: Sessions, server: Server, provider: Provider
) -> None:
    provider.answer = lambda _: "452 full"
    await post(sessions, template="full")
    now = later()
    for attempt, pause in enumerate(RETRIES, start=1):
        assert await hand_over(server, sessions, now) == 1
        assert await rows(sessions) == [("SEALED", attempt)]
        assert await hand_over(server, sessions, now + pause - timedelta(seconds=1)) == 0
        now += pause
    assert await hand_over(server, sessions, now) == 1
    assert await rows(sessions) == [("FAILED", len(RETRIES) + 1)]
    assert await hand_over(server, sessions, now + timedelta(days=1)) == 0
    assert (counted("full", "retried"), counted("full", "failed")) == (len(RETRIES), 1)


async def test_a_mail_tried_again_is_the_same_mail(sessions: Sessions, server: Server, provider: Provider) -> None:
    """A copy is known by its Message-ID: here the answer was lost after the mail was taken."""
    await post(sessions)
    async with sessions.begin() as session:
        await session.execute(text("CREATE RULE lost AS ON DELETE TO mail DO INSTEAD NOTHING"))
    for _ in range(2):
        async with server.connection() as smtp:
            await mail.hand_over_one(server, smtp, sessions, later())
    first, second = provider.taken
    assert first["Message-ID"] == second["Message-ID"]


async def test_an_address_that_does_not_exist_is_given_up_at_once(
    sessions: Sessions, server: Server, provider: Provider
) -> None:
    provider.answer = lambda to: "550 no such mailbox" if to.startswith("eve") else "250 OK"
    await post(sessions, to="eve@example.org")
    await post(sessions, to="ravi@example.org")
    assert await hand_over(server, sessions, later()) == 2
    assert provider.recipients == ["ravi@example.org"]
    assert await rows(sessions) == [("FAILED", 1)]


@pytest.mark.parametrize("to", ["ada\r\nBcc: eve@example.org", "<"])
async def test_a_mail_that_cannot_be_built_stops_no_other(
    sessions: Sessions, server: Server, provider: Provider, to: str
) -> None:
    await post(sessions, to=to)
    await post(sessions, to="ravi@example.org")
    await settle([mailing(server)], sessions, later)
    assert provider.recipients == ["ravi@example.org"]
    assert [state for state, _ in await rows(sessions)] == ["FAILED"]


@pytest.mark.parametrize("secret", ["sesame-subject", "sesame-text", "sesame-html", "sesame-header"])
async def test_nobody_reads_in_the_database_what_a_mail_says(sessions: Sessions, secret: str) -> None:
    await post(sessions, subject="sesame-subject", text="sesame-text", html="sesame-html")
    async with sessions.begin() as session:
        words: dict[str, Any] = {"subject": "x", "text": "y", "headers": {"List-Unsubscribe": "<sesame-header>"}}
        await send(session, to="ada@example.org", person=ADA, template="news", **words)
    async with sessions() as session:
        assert await find(session, "ada@example.org") == {"mail.recipient": 2}  # it finds what is there
        assert await find(session, secret) == {}


async def test_a_mail_whose_key_is_gone_has_failed_and_stops_no_other(
    sessions: Sessions, server: Server, provider: Provider
) -> None:
    await post(sessions, to="ada@example.org", template="orphan")
    seal_with(sessions, OTHER_KEY)
    await post(sessions, to="ravi@example.org")
    with capture_logs() as logs:
        await settle([mailing(server)], sessions, later)
    assert provider.recipients == ["ravi@example.org"]
    assert await rows(sessions) == [("FAILED", 1)]
    assert counted("orphan", "failed") == 1
    assert [one["log_level"] for one in logs if one["event"] == "mail_key_missing"] == ["error"]


async def test_an_older_key_still_opens(sessions: Sessions, server: Server, provider: Provider) -> None:
    await post(sessions)
    seal_with(sessions, Secret(f"{OTHER_KEY.value}\n{KEY.value}"))
    assert await hand_over(server, sessions, later()) == 1
    assert provider.recipients == ["ada@example.org"]


async def test_what_a_mail_says_opens_in_its_own_row_alone(
    sessions: Sessions, server: Server, provider: Provider
) -> None:
    """Who can write to the database does not have somebody's link sent to themselves."""
    await post(sessions, to="ada@example.org", text="a link")
    await post(sessions, to="eve@example.org")
    swapped = (
        "UPDATE mail SET content = (SELECT content FROM mail WHERE recipient LIKE 'ada%') WHERE recipient LIKE 'eve%'"
    )
    async with sessions.begin() as session:
        await session.execute(text(swapped))
    await settle([mailing(server)], sessions, later)
    assert provider.recipients == ["ada@example.org"]


WRITTEN_BEFORE = """
INSERT INTO mail (id, person_id, recipient, template, subject, text, html, headers)
VALUES (gen_random_uuid(), :ada, 'ada@example.org', 'welcome', 'Welcome', 'sesame', '<p>sesame</p>', '{"X-A": "b"}')
"""


async def test_what_the_release_before_wrote_is_sealed_and_sent(
    sessions: Sessions, server: Server, provider: Provider
) -> None:
    """Both releases run side by side for a while: each sends its own, until this one has sealed it."""
    async with sessions.begin() as session:
        await session.execute(text(WRITTEN_BEFORE), {"ada": ADA})
    assert await hand_over(server, sessions, later()) == 0
    assert await seal_mail_in_clear.work(sessions, later()) == 1
    async with sessions() as session:
        assert await find(session, "sesame") == {}
    assert await seal_mail_in_clear.work(sessions, later()) == 0
    assert await hand_over(server, sessions, later()) == 1
    [taken] = provider.taken
    assert (taken["Subject"], taken["X-A"]) == ("Welcome", "b")


async def test_the_step_changes_a_table_of_before_and_leaves_one_of_today(sessions: Sessions) -> None:
    before = (
        "ALTER TABLE mail DROP COLUMN content CASCADE, DROP CONSTRAINT mail_state_check, ALTER subject SET NOT NULL",
        "ALTER TABLE mail ADD CONSTRAINT mail_state_check CHECK (state IN ('WAITING', 'FAILED'))",
    )
    async with sessions.begin() as session:
        connection = await session.connection()
        today = await connection.run_sync(told)
        await connection.run_sync(stepped)
        assert await connection.run_sync(told) == today
        for statement in before:
            await session.execute(text(statement))
        assert await connection.run_sync(told) != today
        await connection.run_sync(stepped)
        assert await connection.run_sync(told) == today


def stepped(connection: Connection) -> None:
    with Operations.context(MigrationContext.configure(connection)):
        seal_mail()


async def test_a_line_break_in_a_subject_begins_no_header(
    sessions: Sessions, server: Server, provider: Provider
) -> None:
    await post(sessions, subject="Your order\r\nBcc: eve@example.org")
    await hand_over(server, sessions, later())
    [taken] = provider.taken
    assert (taken["Subject"], taken["Bcc"]) == ("Your order Bcc: eve@example.org", None)


async def test_mail_waits_for_a_server_that_is_away_and_is_not_blamed(
    sessions: Sessions, server: Server, provider: Provider
) -> None:
    await post(sessions)
    provider.close()
    with pytest.raises((OSError, SMTPException)):
        await hand_over(server, sessions, later())
    assert await rows(sessions) == [("SEALED", 0)]
    await provider.listen(server.port)
    assert await hand_over(server, sessions, later()) == 1


async def test_a_server_that_goes_away_midway_leaves_the_mail_waiting(sessions: Sessions) -> None:
    class Leaving(Provider):
        async def handle_DATA(self, *said: Any) -> str:
            if self.taken:
                return await super().handle_DATA(*said)
            await super().handle_DATA(*said)
            said[0].transport.abort()
            return ""

    leaving = Leaving()
    async with at(leaving) as server:
        await post(sessions, to="ada@example.org")
        await post(sessions, to="ravi@example.org")
        assert await hand_over(server, sessions, later()) == 1
        assert sorted(await rows(sessions)) == [("SEALED", 0), ("SEALED", 1)]
        assert await settle([mailing(server)], sessions, lambda: later() + RETRIES[0]) == 2
        assert set(leaving.recipients) == {"ada@example.org", "ravi@example.org"}


async def test_with_a_server_that_stopped_answering_no_other_mail_is_tried(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(Provider):
        async def handle_DATA(self, *_: Any) -> str:
            await asyncio.Event().wait()
            return ""

    monkeypatch.setattr(mail, "HAND_OVER_SECONDS", 0.2)
    silent = Silent()
    async with at(silent) as server:
        await post(sessions, to="ada@example.org")
        await post(sessions, to="ravi@example.org")
        assert await hand_over(server, sessions, later()) == 1
        assert sorted(await rows(sessions)) == [("SEALED", 0), ("SEALED", 1)]


async def test_an_erasure_waits_for_the_mail_that_is_leaving(
    sessions: Sessions, server: Server, provider: Provider
) -> None:
    await post(sessions)
    arrived, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Provider):
        async def handle_DATA(self, *said: Any) -> str:
            arrived.set()
            await go_on.wait()
            return await super().handle_DATA(*said)

    async with at(Slow()) as there, asyncio.timeout(20):
        leaving = asyncio.create_task(hand_over(there, sessions, later()))
        await arrived.wait()
        erasing = asyncio.create_task(erase(sessions))
        async with sessions() as watcher:
            while not await watcher.scalar(text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")):
                assert not erasing.done()
        go_on.set()
        assert await leaving == 1
        assert await erasing == 0


async def erase(sessions: Sessions) -> int:
    async with sessions.begin() as session:
        gone = await session.execute(delete(mail.mail).where(mail.mail.c.person_id == ADA).returning(mail.mail.c.id))
        return len(gone.all())


async def test_a_batch_has_an_end(sessions: Sessions, server: Server, provider: Provider) -> None:
    for _ in range(BATCH + 3):
        await post(sessions)
    assert [await hand_over(server, sessions, later()) for _ in range(3)] == [BATCH, 3, 0]


async def test_we_say_who_we_are_where_a_user_is_given(sessions: Sessions, server: Server, provider: Provider) -> None:
    await post(sessions)
    known = replace(server, user="me@store", password=Secret("sesame"))
    await hand_over(known, sessions, later())
    assert provider.login == (b"me@store", b"sesame")
    assert "sesame" not in repr(known)


@pytest.mark.parametrize(
    ("smtp_url", "mail_from", "variable"),
    [
        ("", "shop@store.example.org", "RAPPORT_SMTP_URL"),
        ("http://mail:25", "shop@store.example.org", "RAPPORT_SMTP_URL"),
        ("smtp://mail:25", "", "RAPPORT_MAIL_FROM"),
    ],
)
def test_settings_that_reach_nobody_are_refused(smtp_url: str, mail_from: str, variable: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        sender(settings(smtp_url, mail_from))


def test_settings_say_where_and_how() -> None:
    plain = Server.of(settings("smtp://127.0.0.1:1025", "shop@store.example.org"))
    assert (plain.host, plain.port, plain.user, plain.is_tls) == ("127.0.0.1", 1025, None, False)
    safe = Server.of(settings("smtps://me%40store@mail.example.org", "shop@store.example.org"))
    assert (safe.port, safe.user, safe.is_tls) == (465, "me@store", True)
    assert safe.connection().use_tls


def settings(smtp_url: str, mail_from: str) -> ServiceSettings:
    return ServiceSettings(
        listen="127.0.0.1:0",
        metrics_listen="127.0.0.1:0",
        issuer="https://store.example.org",
        database_url=Secret("x"),
        nats_url="",
        nats_user="",
        nats_password=Secret("x"),
        service_token=Secret("x"),
        peers=Path("peers.json"),
        page_key=Secret("x"),
        mail_key=Secret("3a" * 32),
        smtp_url=smtp_url,
        mail_from=mail_from,
    )


async def test_failed_mail_goes_after_thirty_days(sessions: Sessions, server: Server, provider: Provider) -> None:
    provider.answer = lambda _: "550 no"
    await post(sessions)
    await hand_over(server, sessions, later())
    assert await forget_failed_mail.work(sessions, later() + timedelta(days=29)) == 0
    assert await forget_failed_mail.work(sessions, later() + timedelta(days=30)) == 1
    assert await rows(sessions) == []
