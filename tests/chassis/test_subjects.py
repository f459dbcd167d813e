import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from rapport.commerce.v1.events_pb2 import OrderPlaced
from rapport.holder.v1.events_pb2 import ErasureDone
from rapport.identity.v1.events_pb2 import UserDeleted, UserDeletionRequested
from rapport.loyalty.v1.events_pb2 import PointsEarned
from rapport.support.v1.support_pb2 import Ticket

from chassis.subjects import filter_of, key_of, owner_of, partition, stream_of, subject_of

ADA = "0a9d8f35-4f1f-4e07-9f2b-5a3f6a1c7b20"


@pytest.mark.parametrize(
    ("event", "subject"),
    [
        (UserDeleted(user=f"users/{ADA}"), f"rapport.identity.v1.user.deleted.p59.{ADA}.{ADA}"),
        (UserDeletionRequested(user="users/a"), "rapport.identity.v1.user.deletion_requested.p03.a.a"),
        (ErasureDone(user="users/a", holder="holders/support"), "rapport.holder.v1.erasure.done.p03.a.support"),
        (
            PointsEarned(user="users/a", points_account="users/a/pointsAccount"),
            "rapport.loyalty.v1.points.earned.p03.a.pointsAccount",
        ),
        (
            OrderPlaced(user="users/a", order="users/a/orders/R.1*>"),
            "rapport.commerce.v1.order.placed.p03.a.R%2E1%2A%3E",
        ),
    ],
)
def test_an_event_travels_where_its_contract_says(event: Message, subject: str) -> None:
    assert subject_of(event) == subject
    assert owner_of(subject) == subject.split(".")[-2]


def test_a_filter_takes_all_of_a_type_or_one_owners() -> None:
    assert filter_of(UserDeleted) == "rapport.identity.v1.user.deleted.>"
    assert filter_of(UserDeleted, "a") == "rapport.identity.v1.user.deleted.p03.a.*"
    assert stream_of("rapport.identity.v1") == "RAPPORT_IDENTITY_V1"


@given(st.text(min_size=1))
def test_a_person_is_always_in_one_of_64_partitions(owner: str) -> None:
    assert 0 <= int(partition(owner)[1:]) < 64


@given(st.text(alphabet=st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1))
def test_no_name_breaks_a_subject(order: str) -> None:
    tokens = subject_of(OrderPlaced(user="users/a", order=f"users/a/orders/{order}")).split(".")
    assert len(tokens) == 8
    assert not set(tokens[-1]) & set("*> \r\n\t")


def test_an_event_without_owner_or_key_has_no_subject() -> None:
    with pytest.raises(ValueError, match="must name"):
        subject_of(UserDeleted())


def test_what_is_no_event_has_no_subject() -> None:
    with pytest.raises(TypeError, match="is no event"):
        subject_of(Ticket())


def test_order_is_kept_per_key_of_one_owner() -> None:
    assert key_of(UserDeleted(user="users/a")) == ("users/a", "users/a")
    assert key_of(OrderPlaced(user="users/a", order="users/a/orders/1")) == ("users/a/orders/1", "users/a/orders/1")
    hers = ErasureDone(user="users/a", holder="holders/support")
    his = ErasureDone(user="users/b", holder="holders/support")
    assert key_of(hers)[0] == key_of(his)[0] == "holders/support"
    assert key_of(hers)[1] != key_of(his)[1]
