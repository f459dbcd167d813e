"""What the list of common passwords that we ship is made of: zxcvbn's, of which only bits of hashes go into it; ours.

python -m tests.identity.listed      writes it anew
"""

from pathlib import Path

from zxcvbn.frequency_lists import FREQUENCY_LISTS  # type: ignore[import-untyped]

from services import identity
from services.identity.blocklists import built, of_passwords

HERE = Path(identity.__file__).parent
OURS, SHIPPED = HERE / "common_passwords.txt", HERE / "common_passwords.filter"
RATE = 1e-6
SHORTEST = 4


def words() -> list[str]:
    both = {word.casefold() for word in (*FREQUENCY_LISTS["passwords"], *OURS.read_text(encoding="utf-8").split())}
    return sorted(word for word in both if len(word) >= SHORTEST)


def written() -> bytes:
    found = words()
    return built(of_passwords(found), len(found), RATE)


if __name__ == "__main__":
    SHIPPED.write_bytes(written())
