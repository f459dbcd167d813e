from datetime import UTC, datetime, timedelta

import pytest
from rapport.support.v1 import support_pb2 as pb
from rapport.support.v1.support_pb2_grpc import SupportServiceStub

from tests.support.conftest import ADA, OPERATOR, As
from tests.world import Hands, refused

Window, Holiday, Override = pb.ServiceHours.Window, pb.ServiceHours.Holiday, pb.ServiceHours.DatedOverride


def night_shift(**other: object) -> pb.ServiceHours:
    spans = (("21:00", "23:30"), ("25:00", "30:00"))
    said = {
        "reading": "eastern_shift",
        "time_zone": "America/New_York",
        "windows": [Window(weekday=day, start=start, end=end) for day in range(1, 5) for start, end in spans],
        "holidays": [Holiday(date="2026-11-26", title="Thanksgiving Day")],
    }
    return pb.ServiceHours(**said | other)  # type: ignore[arg-type]


async def put(support: SupportServiceStub, hours: pb.ServiceHours) -> pb.ServiceHours:
    return await support.UpdateServiceHours(pb.UpdateServiceHoursRequest(service_hours=hours), metadata=OPERATOR)


async def availability(support: SupportServiceStub) -> pb.Availability:
    return await support.GetAvailability(pb.GetAvailabilityRequest())


async def test_nothing_is_promised_before_service_times_are_set(support: SupportServiceStub) -> None:
    with refused("SERVICE_HOURS_NOT_SET"):
        await availability(support)
    with refused("SERVICE_HOURS_NOT_SET"):
        await support.GetServiceHours(pb.GetServiceHoursRequest())


async def test_availability_follows_the_clock(support: SupportServiceStub, clock: Hands) -> None:
    """Monday noon UTC, then the evening in New York, the break, and the small hours of Tuesday."""
    await put(support, night_shift())
    shut = await availability(support)
    assert (shut.online, shut.HasField("next_close_time")) == (False, False)
    assert shut.next_open_time.ToDatetime(UTC) == datetime(2026, 7, 7, 1, tzinfo=UTC)
    assert (shut.as_of_time.ToDatetime(UTC), shut.time_zone) == (clock(), "America/New_York")

    clock.advance(timedelta(hours=13))
    open_ = await availability(support)
    assert (open_.online, open_.HasField("next_open_time")) == (True, False)
    assert open_.next_close_time.ToDatetime(UTC) == datetime(2026, 7, 7, 3, 30, tzinfo=UTC)

    clock.advance(timedelta(hours=2, minutes=30))
    assert (await availability(support)).next_open_time.ToDatetime(UTC) == datetime(2026, 7, 7, 5, tzinfo=UTC)


async def test_availability_is_as_of_the_version_in_force(support: SupportServiceStub) -> None:
    """BH22: what changes is a new version, and answers follow it at once."""
    await put(support, night_shift())
    always = [Window(weekday=day, start="00:00", end="24:00") for day in range(1, 8)]
    await put(support, night_shift(windows=always, holidays=[]))
    told = await availability(support)
    assert (told.online, told.HasField("next_close_time")) == (True, False)
    await put(support, night_shift(windows=[]))
    told = await availability(support)
    assert (told.online, told.HasField("next_open_time")) == (False, False)


async def test_each_change_is_a_version_and_no_change_is_none(support: SupportServiceStub) -> None:
    first = await put(support, night_shift())
    assert (first.version, first.reading, len(first.windows)) == (1, "eastern_shift", 8)
    assert await put(support, night_shift()) == first
    second = await put(support, night_shift(time_zone="Etc/GMT+5", etag=first.etag))
    assert second.version == 2
    assert await support.GetServiceHours(pb.GetServiceHoursRequest()) == second


async def test_a_change_of_what_has_changed_is_refused(support: SupportServiceStub) -> None:
    first = await put(support, night_shift())
    await put(support, night_shift(time_zone="Etc/GMT+5"))
    with refused("ETAG_MISMATCH"):
        await put(support, night_shift(time_zone="UTC", etag=first.etag))


@pytest.mark.parametrize(
    ("said", "mistake"),
    [
        ("zone", {"time_zone": "Mars/Olympus"}),
        ("weekday", {"windows": [Window(start="21:00", end="23:30")]}),
        ("window", {"windows": [Window(weekday=1, start="23:30", end="21:00")]}),
        ("48:00", {"windows": [Window(weekday=1, start="23:30", end="48:01")]}),
        ("date", {"holidays": [Holiday(date="2026-02-30")]}),
        ("twice", {"overrides": [Override(date="2026-11-26")]}),
    ],
)
async def test_what_are_no_service_hours_is_refused_in_words(
    support: SupportServiceStub, said: str, mistake: dict[str, object]
) -> None:
    with refused("SERVICE_HOURS_INVALID") as refusals:
        await put(support, night_shift(**mistake))
    assert said in refusals[0].metadata["problem"]
    with refused("SERVICE_HOURS_NOT_SET"):
        await support.GetServiceHours(pb.GetServiceHoursRequest())


async def test_an_override_may_leave_the_weekday_out(support: SupportServiceStub, clock: Hands) -> None:
    own = Override(date="2026-07-06", windows=[Window(start="08:00", end="09:00")])
    await put(support, night_shift(overrides=[own]))
    assert (await availability(support)).next_close_time.ToDatetime(UTC) == clock() + timedelta(hours=1)


async def test_customers_do_not_set_service_times(support: SupportServiceStub, as_: As) -> None:
    request = pb.UpdateServiceHoursRequest(service_hours=night_shift())
    with refused("FORBIDDEN"):
        await support.UpdateServiceHours(request, metadata=as_(ADA, "agent"))
    with refused("SIGN_IN_NEEDED"):
        await support.UpdateServiceHours(request)
