"""The keys under which people are remembered by marks alone: HMACs that nobody can undo, or try addresses on."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from services.loyalty import addresses


class BonusKeysError(Exception):
    """The keys of the marks can not be used as they are."""


@dataclass(frozen=True)
class Keys:
    """Every version of the key whose marks still count; new marks are made with the highest."""

    versions: Mapping[int, bytes]

    @classmethod
    def read(cls, text: str) -> "Keys":
        """From lines of hex, a line per version. An emptied line is a key destroyed, and its marks with it."""
        try:
            keys = {number: bytes.fromhex(line) for number, line in enumerate(text.splitlines(), 1) if line.strip()}
        except ValueError:
            raise BonusKeysError("RAPPORT_BONUS_KEY_FILE holds lines of hex, a line per version.") from None
        if not keys or any(len(key) < 32 for key in keys.values()):
            raise BonusKeysError("RAPPORT_BONUS_KEY_FILE needs a key, and each of 32 bytes or more: 64 hex digits.")
        return cls(keys)


def marks(key: bytes, campaign: str, email: str) -> dict[str, bytes]:
    """The exact form too: what is one mailbox today may be judged otherwise by a later list of providers."""
    forms = {"exact": email, "canonical": addresses.canonical(email)}
    return {form: hmac.digest(key, f"{campaign}\0{address}".encode(), "sha256") for form, address in forms.items()}


def is_one_mailbox(keys: Keys, one: str, other: str) -> bool:
    """Whether two exact addresses are one mailbox, by their marks."""
    key = keys.versions[max(keys.versions)]
    return hmac.compare_digest(marks(key, "mailbox", one)["canonical"], marks(key, "mailbox", other)["canonical"])
