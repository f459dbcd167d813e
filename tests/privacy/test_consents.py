from uuid import uuid4

from rapport.privacy.v1 import privacy_pb2 as pb
from rapport.privacy.v1.events_pb2 import ConsentChanged
from rapport.privacy.v1.privacy_pb2_grpc import PrivacyServiceStub

from chassis.database import Sessions
from tests.privacy.conftest import ADA, EVE, As
from tests.world import Hands, refused, stated


def deciding(policy: pb.Policy, *, granted: bool, request_id: str = "") -> pb.CreateConsentRequest:
    consent = pb.Consent(use=pb.Consent.TARGETED_ADVERTISING, granted=granted, policy=policy.name)
    return pb.CreateConsentRequest(parent=f"users/{ADA}", consent=consent, request_id=request_id)


async def test_a_decision_is_kept_with_the_words_it_was_made_under(
    privacy: PrivacyServiceStub, policy: pb.Policy, as_: As, sessions: Sessions
) -> None:
    made = await privacy.CreateConsent(deciding(policy, granted=True), metadata=as_(ADA))

    assert (made.granted, made.policy) == (True, policy.name)
    [event] = await stated(sessions, ConsentChanged)
    assert (event.consent, event.granted) == (made.name, True)


async def test_withdrawing_is_another_decision_and_the_first_stays(
    privacy: PrivacyServiceStub, policy: pb.Policy, as_: As, clock: Hands
) -> None:
    await privacy.CreateConsent(deciding(policy, granted=True), metadata=as_(ADA))
    clock.advance(clock.now - clock.now.replace(hour=0))
    await privacy.CreateConsent(deciding(policy, granted=False), metadata=as_(ADA))

    told = await privacy.ListConsents(pb.ListConsentsRequest(parent=f"users/{ADA}"), metadata=as_(ADA))
    assert [one.granted for one in told.consents] == [False, True]


async def test_deciding_twice_with_one_request_id_is_deciding_once(
    privacy: PrivacyServiceStub, policy: pb.Policy, as_: As
) -> None:
    key = str(uuid4())
    made = [
        await privacy.CreateConsent(deciding(policy, granted=True, request_id=key), metadata=as_(ADA)) for _ in "ab"
    ]
    assert made[0] == made[1]
    with refused("REQUEST_ID_REUSED"):
        await privacy.CreateConsent(deciding(policy, granted=False, request_id=key), metadata=as_(ADA))


async def test_nobody_consents_to_words_that_were_never_published(privacy: PrivacyServiceStub, as_: As) -> None:
    with refused("POLICY_NOT_FOUND"):
        await privacy.CreateConsent(deciding(pb.Policy(name="policies/7"), granted=True), metadata=as_(ADA))


async def test_decisions_are_ones_own(privacy: PrivacyServiceStub, policy: pb.Policy, as_: As) -> None:
    with refused("FORBIDDEN"):
        await privacy.CreateConsent(deciding(policy, granted=True), metadata=as_(EVE))
    with refused("FORBIDDEN"):
        await privacy.ListConsents(pb.ListConsentsRequest(parent=f"users/{ADA}"), metadata=as_(EVE))
