from uuid import UUID

import pytest
from rapport.identity.v1 import identity_pb2 as pb

from chassis.names import is_id, is_name, parse, parse_parent
from chassis.refusal import MalformedName

ADA = UUID("0b8f3f5e-3c5b-4d43-a1d8-4f86a3c9f2aa")
TICKET = UUID("7c9e6679-7425-40de-944b-e07fc1f90ae7")


def test_a_name_gives_its_ids_back() -> None:
    assert parse("users/{user}", f"users/{ADA}") == ADA
    assert parse("users/{user}/tickets/{ticket}", f"users/{ADA}/tickets/{TICKET}") == (ADA, TICKET)
    assert parse("users/{user}/photo", f"users/{ADA}/photo") == ADA
    assert parse("users/{user}/orders/{order:id}", f"users/{ADA}/orders/A-1.b_2") == (ADA, "A-1.b_2")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "users",
        "users/",
        "users/nope",
        "users/-",
        f"user/{ADA}",
        f"/users/{ADA}",
        f"users/{ADA}/",
        f"users/{ADA}\n",
        f"users/{ADA}/tickets/{TICKET}",
        f"users/{ADA.hex}",
        f"users/{{{ADA}}}",
        f"users/urn:uuid:{ADA}",
        "users/" + "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
    ],
)
def test_a_name_of_another_shape_is_refused(name: str) -> None:
    """A UUID in another spelling too: an owner is known by how the name begins."""
    with pytest.raises(MalformedName) as caught:
        parse("users/{user}", name)
    assert caught.value.metadata == {"pattern": "users/{user}"}


@pytest.mark.parametrize("id", ["", "-", ".", "..", "a/b", "a b", "é", "x" * 65])
def test_an_id_of_other_signs_is_refused(id: str) -> None:
    with pytest.raises(MalformedName) as caught:
        parse("orders/{order:id}", f"orders/{id}")
    assert caught.value.metadata == {"pattern": "orders/{order}"}


def test_a_refused_name_is_not_repeated() -> None:
    """People type addresses into the wrong field, and refusals are logged."""
    with pytest.raises(MalformedName) as caught:
        parse("users/{user}", "users/ada@example.org")
    assert "ada" not in f"{caught.value} {caught.value.metadata}"


def test_a_parent_may_be_everybody() -> None:
    assert parse_parent("users/{user}", f"users/{ADA}") == ADA
    assert parse_parent("users/{user}", "users/-") is None
    assert parse_parent("users/{user}/orders/{order:id}", f"users/-/orders/{TICKET}") == (None, str(TICKET))
    with pytest.raises(MalformedName):
        parse_parent("users/{user}", "users/--")


def test_an_id_that_looks_like_a_uuid_stays_the_text_it_was() -> None:
    assert not isinstance(parse("orders/{order:id}", f"orders/{ADA}"), UUID)


def test_the_contract_says_which_fields_are_names_and_ids() -> None:
    fields = pb.User.DESCRIPTOR.fields_by_name
    assert is_name(fields["name"])
    assert is_name(fields["erasure"])
    assert not is_name(fields["email"])
    assert not is_id(fields["display_name"])
    request_id = pb.CreateUserRequest.DESCRIPTOR.fields_by_name["request_id"]
    assert is_id(request_id)
    assert not is_name(request_id)
