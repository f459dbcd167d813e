"""Breaking the rules of the ledger, one at a time: for each, the change of the source, and the test that must notice.

What is changed stands in its file once.
"""

from typing import NamedTuple


class Broken(NamedTuple):
    says: str
    test: str
    file: str
    old: str
    new: str


LEDGER = "services/loyalty/ledger"
VECTORS, AGAIN = "tests/loyalty/test_vectors.py", "tests/loyalty/test_again.py"
RULES, JOURNAL = "tests/loyalty/test_ledger.py", "tests/loyalty/test_journal.py"
NEVER, REPLICAS = "tests/loyalty/test_never_earned.py", "tests/loyalty/test_replicas.py"
LAY = "services/loyalty/migrations/versions/0001_lay_the_tables.py"

BROKEN = (
    # The order in which points go
    Broken(
        "priority does not matter",
        f"{VECTORS}::test_v03_priority_goes_before_the_end",
        f"{LEDGER}/load.py",
        "    ORDER BY priority, expire_time, available_time, seq LIMIT $2\n",
        "    ORDER BY expire_time, available_time, seq LIMIT $2\n",
    ),
    Broken(
        "what never ends is spent first",
        f"{NEVER}::test_what_never_ends_is_spent_last",
        f"{LEDGER}/load.py",
        "    ORDER BY priority, expire_time, available_time, seq LIMIT $2\n",
        "    ORDER BY priority, expire_time NULLS FIRST, available_time, seq LIMIT $2\n",
    ),
    Broken(
        "the end does not matter",
        f"{VECTORS}::test_v02_the_end_goes_before_the_order_of_earning",
        f"{LEDGER}/load.py",
        "    ORDER BY priority, expire_time, available_time, seq LIMIT $2\n",
        "    ORDER BY priority, available_time, seq LIMIT $2\n",
    ),
    Broken(
        "points of one batch stand in the order by chance",
        f"{NEVER}::test_points_of_one_batch_are_spent_in_the_order_they_came",
        f"{LEDGER}/lots.py",
        "        seq=UNWRITTEN + len(book.entries),\n",
        "        seq=UNWRITTEN,\n",
    ),
    # Time
    Broken(
        "the end is inclusive",
        f"{VECTORS}::test_v04_the_end_is_exclusive",
        f"{LEDGER}/due.py",
        "is not None and instant <= book.now:\n",
        "is not None and instant < book.now:\n",
    ),
    Broken(
        "what ended is booked as of when it was looked at",
        f"{VECTORS}::test_v05_what_ends_is_gone_at_its_time_whenever_that_is_booked",
        f"{LEDGER}/due.py",
        "if lot.has_ended(instant)], instant)\n",
        "if lot.has_ended(instant)], book.now)\n",
    ),
    Broken(
        "what waits can be spent at once",
        f"{VECTORS}::test_v17_what_waits_cannot_be_spent_before_its_time",
        f"{LEDGER}/earnings.py",
        "    waits = lot.available_time > book.now\n",
        "    waits = False\n",
    ),
    Broken(
        "a hold is over when somebody looks, not at its time",
        f"{RULES}::test_a_hold_whose_time_is_over_is_released_at_that_time",
        f"{LEDGER}/due.py",
        "let_go(book, account, hold, hold.expire_time, HoldState.EXPIRED)\n",
        "let_go(book, account, hold, book.now, HoldState.EXPIRED)\n",
    ),
    Broken(
        "what comes back after its end stays",
        f"{VECTORS}::test_v07_what_comes_back_after_its_end_ends_then",
        f"{LEDGER}/holds.py",
        "    due.expire_ended(book, account, entry)\n",
        "",
    ),
    # Giving back
    Broken(
        "the first taken comes back first",
        f"{VECTORS}::test_v11_the_last_taken_comes_back_first",
        f"{LEDGER}/lots.py",
        "    for one in reversed(slices):\n",
        "    for one in slices:\n",
    ),
    Broken(
        "a refund does not count what came back before",
        f"{RULES}::test_no_more_comes_back_than_was_spent",
        f"{LEDGER}/redemptions.py",
        "    spent.refunded += request.points\n",
        "",
    ),
    Broken(
        "the refunds of an order are not cumulative",
        "tests/loyalty/test_orders.py::test_refunds_line_by_line_take_back_what_was_earned_and_no_more",
        "services/loyalty/orders.py",
        " - row.taken_back\n",
        "\n",
    ),
    Broken(
        "who comes back pays no arrears",
        f"{VECTORS}::test_v25_what_is_held_is_not_broken_by_a_reversal",
        f"{LEDGER}/lots.py",
        "    absorbed = min(entry.account.arrears, points)\n",
        "    absorbed = 0\n",
    ),
    Broken(
        "who earns pays no arrears",
        f"{VECTORS}::test_v15_what_is_owed_is_settled_by_the_next_points",
        f"{LEDGER}/earnings.py",
        "    if not waits and account.arrears:\n",
        "    if False:\n",
    ),
    Broken(
        "points are carried over without their end",
        f"{VECTORS}::test_v22_points_are_carried_over_with_their_ends",
        f"{LEDGER}/transfers.py",
        "arrival, points, lot.expire_time)\n",
        "arrival, points, None)\n",
    ),
    # Taking back
    Broken(
        "who paid in another's place gets nothing back",
        f"{VECTORS}::test_v14_who_paid_gets_it_back_first_when_that_is_refunded",
        f"{LEDGER}/lots.py",
        "    for one in reversed(book.substitutions.get(lot.id, [])):\n",
        "    for one in ():\n",
    ),
    Broken(
        "of those who paid the first gets it back first",
        f"{NEVER}::test_of_two_who_paid_the_last_gets_it_back_first_though_both_paid_in_one_batch",
        f"{LEDGER}/lots.py",
        "    for one in reversed(book.substitutions.get(lot.id, [])):\n",
        "    for one in book.substitutions.get(lot.id, []):\n",
    ),
    Broken(
        "who paid for a payer is not found again",
        f"{NEVER}::test_who_paid_for_a_payer_gets_it_back",
        f"{LEDGER}/load.py",
        "        await load_substitutions(session, book, [one.payer_id for one in fresh])\n",
        '        add(book, await session.execute(LOTS_BY_ID, {"ids": [one.payer_id for one in fresh]}))\n',
    ),
    Broken(
        "the grace of a refund is not for who paid",
        f"{NEVER}::test_the_grace_of_a_refund_is_for_who_paid_too",
        f"{LEDGER}/lots.py",
        "book.lots[one.payer_id], Place.REVERSED, part, grace)\n",
        "book.lots[one.payer_id], Place.REVERSED, part, None)\n",
    ),
    Broken(
        "what has expired is taken once more",
        f"{RULES}::test_what_has_expired_is_not_taken_twice",
        f"{LEDGER}/earnings.py",
        "    return min(wanted, lot.expired - counted)\n",
        "    return 0 * counted\n",
    ),
    Broken(
        "what earlier reversals took is forgotten",
        f"{NEVER}::test_what_expired_counts_as_taken_though_other_parts_of_the_lot_were_owed",
        f"{LEDGER}/load.py",
        "    await load_reversed(session, book, [",
        "    await load_substitutions(session, book, [",
    ),
    Broken(
        "a reversal of what waits takes what is open",
        f"{VECTORS}::test_v16_only_what_waits_is_taken_where_the_policy_says_so",
        f"{LEDGER}/earnings.py",
        "        if request.policy is Policy.ONLY_PENDING and place is Place.OPEN:\n",
        "        if False:\n",
    ),
    Broken(
        "more is owed than the policy allows",
        f"{VECTORS}::test_v16_within_the_balance_nothing_is_owed",
        f"{LEDGER}/earnings.py",
        "    if wanted and policy is Policy.UNLIMITED:\n",
        "    if wanted:\n",
    ),
    # Once for ever
    Broken(
        "a refusal is forgotten",
        f"{RULES}::test_a_refusal_is_kept_for_its_request",
        f"{LEDGER}/decide.py",
        "        remember(book, entry, request, asked)\n        return refusal\n",
        "        return refusal\n",
    ),
    Broken(
        "another request under the same id is answered as the first",
        f"{VECTORS}::test_v20_another_request_under_its_id_is_refused_by_what_differs",
        f"{LEDGER}/decide.py",
        "    if fields:\n",
        "    if False:\n",
    ),
    Broken(
        "a transfer may have another destination",
        f"{AGAIN}::test_another_destination_is_another_transfer",
        f"{LEDGER}/requests.py",
        'said | {"destination": str(self.to)}',
        "said | {}",
    ),
    Broken(
        "an earning may have another time",
        f"{AGAIN}::test_another_time_is_another_earning",
        f"{LEDGER}/requests.py",
        "        if self.scope == BY_REQUEST_ID and self.effective is not None:\n",
        "        if False:\n",
    ),
    Broken(
        "what was given in time is asked again too late",
        f"{AGAIN}::test_points_that_ended_since_are_answered_as_they_were_given",
        "services/loyalty/rpc/counter.py",
        '                if not await movements.has(session, SCOPE, request.key or ""):\n',
        "                if session:\n",
    ),
    Broken(
        "the same id twice in a batch is two",
        f"{VECTORS}::test_v21_the_same_request_twice_in_a_batch_is_one_movement",
        f"{LEDGER}/decide.py",
        "        book.earlier[entry.scope, entry.key] = entry\n",
        "        pass\n",
    ),
    Broken(
        "a mailbox is forgotten with its person",
        "tests/loyalty/test_erasure.py::test_who_registers_again_gets_no_second_bonus",
        "services/loyalty/keys.py",
        'hmac.digest(key, f"{campaign}\\0{address}".encode(), "sha256")',
        'hmac.digest(key, f"{campaign}\\0{address}{__import__(\'time\').time()}".encode(), "sha256")',
    ),
    # Many at once
    Broken(
        "an account is not locked",
        f"{REPLICAS}::test_of_two_who_waited_for_one_account_one_spends_its_points",
        f"{LEDGER}/load.py",
        " ORDER BY account.id FOR UPDATE OF account\n",
        " ORDER BY account.id\n",
    ),
    Broken(
        "a closed account takes points that waited for its end",
        f"{REPLICAS}::test_points_that_waited_for_an_erasure_are_forfeited_or_refused",
        f"{LEDGER}/decide.py",
        "    if account.close_time is not None and (",
        "    if False and (",
    ),
    Broken(
        "what the driver says is another failure than all others",
        f"{REPLICAS}::test_one_key_for_two_accounts_at_both_is_one_movement",
        "chassis/database.py",
        "    except (PostgresError, InterfaceError, InternalClientError, OSError) as error:\n",
        "    except KeyError as error:\n",
    ),
    Broken(
        "the queue has no end",
        f"{RULES}::test_a_ledger_that_is_full_says_when_to_come_again",
        f"{LEDGER}/writer.py",
        "        if self.queued + len(requests) > QUEUED:\n",
        "        if False:\n",
    ),
    Broken(
        "answers are given before the commit",
        "tests/loyalty/test_simulation.py::test_each_key_is_done_once_whatever_dies[0]",
        f"{LEDGER}/writer.py",
        "            if error.connection_invalidated or len(batch) == 1:\n                return fail(batch, error)\n",
        "            if True:\n"
        "                return [one.answer.set_result([self.clock()] * len(one.requests)) for one in batch]\n",
    ),
    # The books themselves
    Broken(
        "who is erased keeps points",
        "tests/loyalty/test_erasure.py::test_what_was_there_is_forfeited_and_the_totals_stay",
        f"{LEDGER}/transfers.py",
        "        entry.move(lot, Place.OPEN, Place.REMOVED, lot.open)\n",
        "",
    ),
    Broken(
        "legs need not sum to zero",
        f"{JOURNAL}::test_legs_that_do_not_sum_to_zero_are_refused_by_the_database",
        LAY,
        '"available + pending + held - arrears + amount = 0", name=',
        '"amount = amount", name=',
    ),
    Broken(
        "a changed byte is not looked for",
        f"{JOURNAL}::test_what_was_done_to_the_books_is_found",
        f"{LEDGER}/chain.py",
        '        if (digests.pop(seal.batch, b""), counts[seal.batch]) != (seal.digest, seal.operations):\n',
        '        digests.pop(seal.batch, b"")\n        if False:\n',
    ),
    Broken(
        "a second capture begins where the first one did",
        f"{NEVER}::test_a_second_capture_goes_on_where_the_first_one_ended",
        f"{LEDGER}/holds.py",
        "        passed = min(one.points, skip)\n",
        "        passed = 0\n",
    ),
)
