"""Etags: the state of a resource that a caller has seen.

    etag=etag_of(user.version, user.id)
    check_etag(request.user.etag, user.version, user.id)  # under the row's lock

The gateway puts the quotes of RFC 9110 around them.
"""

from base64 import urlsafe_b64encode
from hashlib import sha256
from uuid import UUID

from chassis.refusal import EtagMismatch


def etag_of(version: int, id: UUID | str) -> str:
    # Hashed, so that nobody counts on the next one.
    return urlsafe_b64encode(sha256(f"{id}:{version}".encode()).digest()[:12]).decode()


def check_etag(given: str, version: int, id: UUID | str) -> None:
    """Refuse when the caller gave an etag and it is not the present one."""
    if given and given != etag_of(version, id):
        raise EtagMismatch("Somebody changed this since you read it.")
