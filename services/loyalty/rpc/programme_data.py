"""Whether the data of a programme makes sense as a whole: what no limit of a single field can say."""

import re
from collections.abc import Iterable, Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rapport.loyalty.v1 import loyalty_pb2, rules_pb2

from chassis.refusal import InvalidField, Violation

WORD = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
PERIODS = (0, 1, 2, 3, 4, 6, 12)
PLACE = "programme"


def check(said: loyalty_pb2.Programme) -> None:
    """Refuse a programme whose parts do not fit together, with all that has to be mended."""
    found = [*zone(said), *ids(said), *rules(said), *caps(said), *campaigns(said), *ladder(said.tier_ladder)]
    if found:
        raise InvalidField("The programme does not fit together.", violations=found[:20])


def wrong(path: str, reason: str, why: str) -> Violation:
    return Violation(f"{PLACE}.{path}", reason, why)


def zone(said: loyalty_pb2.Programme) -> Iterator[Violation]:
    try:
        ZoneInfo(said.time_zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield wrong("time_zone", "UNKNOWN", "A zone of the IANA database: America/New_York.")


def ids(said: loyalty_pb2.Programme) -> Iterator[Violation]:
    """Words that are kept with points: each in its form, and for one thing alone."""
    named = [(f"earn_rules[{place}].id", one.id) for place, one in enumerate(said.earn_rules)]
    named += [(f"campaigns[{place}].id", one.id) for place, one in enumerate(said.campaigns)]
    yield from words(named)
    yield from words([(f"caps[{place}].id", one.id) for place, one in enumerate(said.caps)])
    yield from words([(f"tier_ladder.tiers[{place}].id", one.id) for place, one in enumerate(said.tier_ladder.tiers)])


def words(named: Iterable[tuple[str, str]]) -> Iterator[Violation]:
    seen: set[str] = set()
    for path, word in named:
        if not WORD.fullmatch(word):
            yield wrong(path, "FORMAT", "a-z, 0-9 and - between them.")
        if word in seen:
            yield wrong(path, "REPEATED", "Another one has this id.")
        seen.add(word)


def rules(said: loyalty_pb2.Programme) -> Iterator[Violation]:
    tiers = {one.id for one in said.tier_ladder.tiers}
    known = {one.id for one in said.campaigns}
    for place, one in enumerate(said.earn_rules):
        path = f"earn_rules[{place}]"
        if one.WhichOneof("gives") is None:
            yield wrong(path, "REQUIRED", "points_per_unit, points_per_order or percent.")
        if unknown := [tier for tier in one.tiers if tier not in tiers]:
            yield wrong(f"{path}.tiers", "UNKNOWN", f"{len(unknown)} of these are no tier of the ladder.")
        if one.campaign and one.campaign not in known:
            yield wrong(f"{path}.campaign", "UNKNOWN", "No campaign has this id.")
        yield from window(path, one)


def caps(said: loyalty_pb2.Programme) -> Iterator[Violation]:
    known = {one.id for one in said.earn_rules} | {one.id for one in said.campaigns} or {"order"}
    for place, one in enumerate(said.caps):
        if any(rule not in known for rule in one.rules):
            yield wrong(f"caps[{place}].rules", "UNKNOWN", "Ids of earn_rules and campaigns.")


def campaigns(said: loyalty_pb2.Programme) -> Iterator[Violation]:
    for place, one in enumerate(said.campaigns):
        yield from window(f"campaigns[{place}]", one)


def window(path: str, one: rules_pb2.EarnRule | rules_pb2.Campaign) -> Iterator[Violation]:
    if one.HasField("start_time") and one.HasField("end_time"):
        start, end = one.start_time, one.end_time
        if (start.seconds, start.nanos) >= (end.seconds, end.nanos):
            yield wrong(f"{path}.end_time", "TOO_EARLY", "It ends after it begins.")


def ladder(said: rules_pb2.TierLadder) -> Iterator[Violation]:
    thresholds = [one.qualifying_points for one in said.tiers]
    if thresholds and thresholds[0] != 0:
        yield wrong("tier_ladder.tiers[0].qualifying_points", "OUT_OF_RANGE", "The first tier asks for nothing: 0.")
    if thresholds != sorted(set(thresholds)):
        yield wrong("tier_ladder.tiers", "ORDER", "Each tier asks for more than the one before.")
    if said.period_months not in PERIODS:
        yield wrong("tier_ladder.period_months", "OUT_OF_RANGE", "Whole periods make a year: 1, 2, 3, 4, 6 or 12.")
