from uuid import uuid4

import pytest

from chassis.etags import check_etag, etag_of
from chassis.refusal import EtagMismatch

ADA = uuid4()


def test_an_etag_is_the_same_until_the_version_changes() -> None:
    assert etag_of(1, ADA) == etag_of(1, ADA)
    assert len({etag_of(1, ADA), etag_of(2, ADA), etag_of(1, uuid4()), etag_of(11, ADA)}) == 4


def test_a_change_of_what_somebody_else_changed_is_refused() -> None:
    seen = etag_of(1, ADA)
    check_etag(seen, 1, ADA)
    with pytest.raises(EtagMismatch):
        check_etag(seen, 2, ADA)


def test_who_gives_no_etag_takes_what_there_is() -> None:
    check_etag("", 2, ADA)
