"""The mailbox that stands in for a mail provider."""

import asyncio
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID, uuid4

import aiosmtplib
import httpx
import nats
import pytest
from rapport.identity.v1.events_pb2 import UserDeleted

from chassis.subjects import subject_of
from deploy.local.credentials import for_nats
from deploy.local.mailbox import Mailbox
from deploy.local.plan import Plan

LINK = "https://store.example.org/register#token=abc.def"


@pytest.fixture
def sink(engines: Plan) -> Plan:
    return engines


def letter(to: str, *, person: UUID | None = None, subject: str = "Finish creating your account") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "store@example.org", to, subject
    if person:
        mail["X-Rapport-Person"] = str(person)
    mail.set_content(f"Welcome, Zoë! Open this: {LINK}.\n")
    mail.add_alternative(f"<p>Welcome! <a href='{LINK}'>Open</a></p>", subtype="html")
    return mail


async def send(sink: Plan, mail: EmailMessage, *to: str) -> None:
    await aiosmtplib.send(mail, hostname="127.0.0.1", port=sink.ports["smtp"], recipients=list(to) or None)


async def messages(sink: Plan, to: str) -> list[dict[str, object]]:
    async with httpx.AsyncClient(base_url=sink.urls["mailbox"]) as client:
        found: list[dict[str, object]] = (await client.get("/messages", params={"to": to})).json()["messages"]
        return found


def somebody() -> str:
    return f"ada-{uuid4().hex[:8]}@example.org"


async def test_mail_to_an_address_that_is_to_be_refused_is_refused_for_good(sink: Plan) -> None:
    to = somebody()
    async with httpx.AsyncClient(base_url=sink.urls["mailbox"]) as client:
        assert (await client.put("/refusals", json={"addresses": [to.upper()]})).json() == {"refused": 1}
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused, match="550"):
            await send(sink, letter(to))
        assert (await client.put("/refusals", json={"addresses": [somebody()] * 101})).status_code == 400
        await client.put("/refusals", json={"addresses": []})
    await send(sink, letter(to))
    assert len(await messages(sink, to)) == 1


async def test_mail_is_kept_for_its_recipient(sink: Plan) -> None:
    to = somebody()
    await send(sink, letter(to))
    (kept,) = await messages(sink, to.upper())
    assert (kept["to"], kept["subject"]) == ([to], "Finish creating your account")
    assert "Zoë" in str(kept["text"])
    assert kept["links"] == [LINK]
    assert await messages(sink, somebody()) == []


async def test_mail_is_found_by_the_envelope_not_by_what_it_says(sink: Plan) -> None:
    to, hidden = somebody(), somebody()
    await send(sink, letter(to), hidden)
    assert (await messages(sink, to), len(await messages(sink, hidden))) == ([], 1)


async def test_the_newest_mail_comes_first(sink: Plan) -> None:
    to = somebody()
    for number in range(3):
        await send(sink, letter(to, subject=f"Number {number}"))
    assert [one["subject"] for one in await messages(sink, to)] == ["Number 2", "Number 1", "Number 0"]


async def test_a_page_shows_the_mail_and_its_link(sink: Plan) -> None:
    to = somebody()
    await send(sink, letter(to, subject="<script>alert(1)</script>"))
    (kept,) = await messages(sink, to)
    async with httpx.AsyncClient(base_url=sink.urls["mailbox"], headers={"Accept": "text/html"}) as client:
        listed = (await client.get("/", params={"to": to})).text
        shown = (await client.get(f"/messages/{kept['id']}")).text
        missing = await client.get("/messages/999999999")
    assert f'href="/messages/{kept["id"]}"' in listed
    assert f'<a href="{LINK}">{LINK}</a>' in shown
    assert "<script>" not in listed + shown
    assert missing.status_code == 404


async def test_a_persons_mail_is_dropped_when_asked(sink: Plan) -> None:
    person, to = uuid4(), somebody()
    await send(sink, letter(to, person=person))
    await send(sink, letter(to, person=uuid4()))
    async with httpx.AsyncClient(base_url=sink.urls["mailbox"]) as client:
        assert (await client.delete(f"/people/{person}")).json() == {"forgotten": 1}
        assert (await client.delete(f"/people/{person}")).json() == {"forgotten": 0}
    assert len(await messages(sink, to)) == 1


async def test_a_deleted_persons_mail_is_dropped_because_identity_says_so(sink: Plan) -> None:
    person, to = uuid4(), somebody()
    await send(sink, letter(to, person=person))
    told = for_nats(sink, "identity")
    password = Path(told["RAPPORT_NATS_PASSWORD_FILE"]).read_text()  # noqa: ASYNC240 - a few bytes
    client = await nats.connect(
        told["RAPPORT_NATS_URL"], user="identity", password=password, inbox_prefix=b"_INBOX_identity"
    )
    event = UserDeleted(user=f"users/{person}")
    await client.publish(subject_of(event), event.SerializeToString())
    await client.close()
    async with asyncio.timeout(10):
        while await messages(sink, to):  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.05)
    assert not any(str(person) in path.read_text() for path in sink.state.mailbox.glob("*.eml"))


async def test_no_address_is_written_to_the_log(sink: Plan) -> None:
    to = somebody()
    await send(sink, letter(to))
    await messages(sink, to)
    assert to not in sink.state.log("mail").read_text()


def test_the_oldest_mail_makes_room(tmp_path: Path) -> None:
    box = Mailbox(tmp_path, most=3)
    for _ in range(5):
        box.keep(b"Subject: x\r\n\r\n", ["ada@example.org"])
    assert sorted(box.ids()) == [3, 4, 5]
    assert Mailbox(tmp_path).last == 5
