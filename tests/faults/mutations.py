"""Breaking the server on purpose: for each step of the story, a fault that this step must notice.

A fault is a change of the source, of which `old` stands in the file once, or a statement to a database.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """What is broken, and which process has to be started anew to have it."""

    step: str  # the function of tests.journeys.steps that must fail
    says: str
    file: str = ""
    old: str = ""
    new: str = ""
    restart: tuple[str, ...] = ()
    database: str = ""
    statement: str = ""
    undo: str = ""


MUTATIONS = (
    Mutation(
        "search_faq",
        "every article answers every question",
        "services/support/faq.py",
        '.where(Article.search.bool_op("@@")(any_word)).order_by',
        ".order_by",
        ("support",),
    ),
    Mutation(
        "ask_hours",
        "support is always online",
        "services/support/rpc.py",
        "            online=online,\n",
        "            online=True,\n",
        ("support",),
    ),
    Mutation(
        "register",
        "a registration link works again and again",
        "services/identity/registrations.py",
        "    user.photo = photo\n    await forget(session, link.email)\n",
        "    user.photo = photo\n",
        ("identity",),
    ),
    Mutation(
        "subscribe",
        "the bonus is given at every confirmation",
        "services/loyalty/bonus.py",
        "    if await has(session, CAMPAIGN, key) or not await remember(session, email, keys, ends=ends, now=now):\n",
        '    key = f"{key}/{now}"\n    if not key:\n',
        ("loyalty",),
    ),
    Mutation(
        "pay_order",
        "an outbox row is skipped",
        "chassis/outbox.py",
        "[row_of(event) for event in events])",
        '[row_of(event) for event in events if event.DESCRIPTOR.name != "OrderPaid"])',
        ("support",),
    ),
    Mutation(
        "submit_ticket",
        "a request_id is not remembered",
        "chassis/idempotency.py",
        "    if not request.request_id:\n",
        "    if True:\n",
        ("support",),
    ),
    Mutation(
        "refuse_ticket",
        "the owner check says yes to everybody",
        "chassis/access.py",
        'return self.owner is not None and f"{self.owner(request)}/".startswith(f"{person.name}/")',
        "return self.owner is not None",
        ("support",),
    ),
    Mutation(
        "hear_answer",
        "replies are stated to nobody",
        "chassis/outbox.py",
        "[row_of(event) for event in events])",
        '[row_of(event) for event in events if event.DESCRIPTOR.name != "TicketReplied"])',
        ("support",),
    ),
    Mutation(
        "rectify",
        "a corrected name is not passed on",
        "services/support/consumers.py",
        'if "display_name" in event.paths:',
        "if not event.paths:",
        ("support",),
    ),
    Mutation(
        "hold_points",
        "the key of a hold stands for any hold",
        "services/loyalty/ledger/decide.py",
        "    if fields:\n",
        "    if not before:\n",
        ("loyalty",),
    ),
    Mutation(
        "capture_parts",
        "what a final capture leaves stays set aside",
        "services/loyalty/ledger/holds.py",
        "    if request.final and hold.left:\n",
        "    if hold.left < 0:\n",
        ("loyalty",),
    ),
    Mutation(
        "refund_late",
        "points that ended live on when they come back",
        "services/loyalty/ledger/lots.py",
        "        if grace and lot.has_ended(entry.effective_time):\n",
        "        if lot.has_ended(entry.effective_time):\n"
        "            grace = grace or entry.booked_time - entry.booked_time.replace(year=2020)\n",
        ("loyalty",),
    ),
    Mutation(
        "read_statement",
        "a movement says what it moved where it should say what there was after it",
        "services/loyalty/rpc/messages.py",
        "        balance_after=movement.available_after,\n",
        "        balance_after=movement.available,\n",
        ("loyalty",),
    ),
    Mutation(
        "trade",
        "an approval stands whatever tax id it was given for",
        "services/identity/businesses/states.py",
        'JUDGED = frozenset({"kind", "company", "region_code", "tax_id"})',
        'JUDGED = frozenset({"kind"})',
        ("identity",),
    ),
    Mutation(
        "export",
        "a table is left out of the copy",
        "chassis/personal_data/export.py",
        "    for table in filter(subjects, tables):\n",
        '    for table in (one for one in tables if subjects(one) and one.name != "message"):\n',
        ("support",),
    ),
    Mutation(
        "sign_out_elsewhere",
        "a session that was ended lives on",
        "services/identity/sessions.py",
        "        one.revoke_time = now\n",
        "        one.revoke_time = None\n",
        ("identity",),
    ),
    Mutation(
        "sign_out_elsewhere",
        "nobody hears that a session ended",
        "chassis/revocations.py",
        "        now, end = self.clock(), revoked + LIFE + SKEW\n",
        "        return\n        now, end = self.clock(), revoked + LIFE + SKEW\n",
        ("support", "gateway"),
    ),
    Mutation(
        "add_factor",
        "a password is enough where there is a second factor",
        "services/identity/sign_ins.py",
        "    if not ways:\n",
        "    if True:\n",
        ("identity",),
    ),
    Mutation(
        "social_sign_up",
        "the last way in can be ended",
        "services/identity/ways_in.py",
        "    return bool(await session.scalar(select(password | passkey | elsewhere)))\n",
        "    return True\n",
        ("identity",),
    ),
    Mutation(
        "keep_account",
        "who thinks better of it is told so, and goes all the same",
        "services/identity/deletions.py",
        "    user.purge_time = None\n    user.version",
        "    user.version",
        ("identity",),
    ),
    Mutation(
        "delete_account",
        "who is being deleted is shown as active",
        "services/identity/rpc/identity.py",
        "user.is_pending_deletion else user.state\n",
        "user.is_pending_deletion else State.ACTIVE\n",
        ("identity",),
    ),
    Mutation(
        "acknowledge",
        "an erasure leaves every row where it is",
        "chassis/personal_data/erase.py",
        "    for table in reversed(tables):  # those who refer first\n",
        "    for table in ():\n",
        ("support",),
    ),
    Mutation(
        "tell_latecomer",
        "the last fact is not stated",
        "services/identity/deletions.py",
        "    await state(session, UserDeleted(user=user.name, erasure=erasure, event_time=timestamp(now)))\n",
        "",
        ("identity",),
    ),
    Mutation(
        "search_canaries",
        "an address is written to the log",
        "services/identity/registrations.py",
        "    user.photo = photo\n",
        "    user.photo = photo\n    print(link.email, flush=True)\n",
        ("identity",),
    ),
    Mutation(
        "balance_books",
        "an account has a point that no operation gave",
        database="loyalty",
        statement="INSERT INTO account (id, currency, available, pending, held, arrears, create_time)"
        " VALUES ('00000000-0000-4000-8000-000000000001', 'R', 1, 0, 0, 0, now())",
        undo="DELETE FROM account WHERE id = '00000000-0000-4000-8000-000000000001'",
    ),
    Mutation(
        "come_back",
        "a mailbox is forgotten with its person",
        "services/loyalty/keys.py",
        'hmac.digest(key, f"{campaign}\\0{address}".encode(), "sha256")',
        'hmac.digest(key, f"{campaign}\\0{address}{__import__(\'time\').time()}".encode(), "sha256")',
        ("loyalty",),
    ),
)
