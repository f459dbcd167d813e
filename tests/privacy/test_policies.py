from hashlib import sha256

from rapport.privacy.v1 import privacy_pb2 as pb
from rapport.privacy.v1.privacy_pb2_grpc import PrivacyServiceStub

from tests.privacy.conftest import ADA, As
from tests.world import as_service, refused


def publishing(body: str) -> pb.PublishPolicyRequest:
    return pb.PublishPolicyRequest(policy=pb.Policy(body=body))


async def test_before_the_first_version_there_is_none_to_read(privacy: PrivacyServiceStub) -> None:
    with refused("POLICY_NOT_FOUND"):
        await privacy.GetPolicy(pb.GetPolicyRequest(name="policies/latest"))


async def test_anybody_reads_the_version_in_force_and_every_earlier_one(privacy: PrivacyServiceStub) -> None:
    for body in ("First words.", "Better words."):
        await privacy.PublishPolicy(publishing(body), metadata=as_service("operator"))

    latest = await privacy.GetPolicy(pb.GetPolicyRequest(name="policies/latest"))
    first = await privacy.GetPolicy(pb.GetPolicyRequest(name="policies/1"))
    assert (latest.name, latest.body, first.body) == ("policies/2", "Better words.", "First words.")
    assert latest.digest == sha256(b"Better words.").hexdigest()


async def test_the_same_words_stay_the_same_version(privacy: PrivacyServiceStub, policy: pb.Policy) -> None:
    again = await privacy.PublishPolicy(publishing(policy.body), metadata=as_service("operator"))
    assert again == policy


async def test_versions_are_listed_page_by_page_newest_first(privacy: PrivacyServiceStub) -> None:
    for number in range(5):
        await privacy.PublishPolicy(publishing(f"Words {number}."), metadata=as_service("operator"))

    names, token = [], ""
    for _ in range(3):
        page = await privacy.ListPolicies(pb.ListPoliciesRequest(page_size=2, page_token=token))
        names += [one.name for one in page.policies]
        token = page.next_page_token
    assert names == [f"policies/{number}" for number in (5, 4, 3, 2, 1)]
    assert token == ""


async def test_a_customer_publishes_no_policy(privacy: PrivacyServiceStub, as_: As) -> None:
    with refused("FORBIDDEN"):
        await privacy.PublishPolicy(publishing("Anything goes."), metadata=as_(ADA))


async def test_a_privacy_officer_does(privacy: PrivacyServiceStub, as_: As) -> None:
    made = await privacy.PublishPolicy(publishing("Careful words."), metadata=as_(ADA, "privacy_officer"))
    assert made.name == "policies/1"
