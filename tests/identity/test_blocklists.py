"""Which passwords are refused because others know them, and the files that say so."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rapport.identity.v1 import identity_pb2 as pb

from chassis.database import Sessions
from chassis.settings import SettingsError
from services.identity import passwords
from services.identity.blocklists import HEAD, Blocklist, Malformed, Mounted, built, of_digests, of_passwords, sha1
from services.identity.settings import Settings
from tests.identity.conftest import served
from tests.identity.listed import SHIPPED, words, written
from tests.identity.people import OPERATOR, Identity
from tests.world import Hands, refused

BREACHED = "a breached but long password"


def write(path: Path, *known: str, rate: float = 1e-6) -> Path:
    path.write_bytes(built(of_passwords(known), len(known), rate))
    return path


async def create(identity: Identity, password: str, email: str = "ada@example.org") -> None:
    asked = pb.CreateUserRequest(user=pb.User(email=email, display_name="Ada"), password=password)
    await identity.stub.CreateUser(asked, metadata=OPERATOR)


def test_the_list_that_is_shipped_is_the_one_that_is_built() -> None:
    assert SHIPPED.read_bytes() == written()
    assert all(word in passwords.COMMON for word in words())


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
def test_a_list_is_wrong_about_others_as_often_as_it_was_built_for(tmp_path: Path, rate: float) -> None:
    known = [f"known {number}" for number in range(5_000)]
    found = Blocklist(write(tmp_path / "list", *known, rate=rate))
    assert all(one in found for one in known)
    wrong = sum(f"unknown {number}" in found for number in range(30_000)) / 30_000
    assert 0.7 * rate < wrong < 1.4 * rate


@pytest.mark.parametrize(
    "password", ["passwordpassword", "qwertyuiop123456", "abcabcabcabcabc", "CorrectHorseBatteryStaple"]
)
async def test_what_is_made_of_common_ones_is_common(identity: Identity, password: str) -> None:
    with refused("PASSWORD_WEAK") as said:
        await create(identity, password)
    assert "guessed" in said[0].violations[0].description


@pytest.mark.parametrize("password", ["four unusual words here", "x7Qd0vVh2mZk8yN4", "пять необычных слов"])
async def test_what_nobody_guesses_is_taken(identity: Identity, password: str) -> None:
    await create(identity, password)


async def test_fifteen_characters_are_needed_unless_the_store_says_otherwise(
    settings: Settings, sessions: Sessions, clock: Hands
) -> None:
    async with served(settings, sessions, clock) as identity:
        with refused("PASSWORD_WEAK") as said:
            await create(identity, "zv8 quilt wharf"[:14])
        assert "15 characters" in said[0].violations[0].description
        await create(identity, "zv8 quilt wharf", "a@example.org")
    async with served(replace(settings, password_shortest=8), sessions, clock) as identity:
        await create(identity, "zv8quilt", "b@example.org")
    async with served(settings, sessions, clock) as identity:  # who has a shorter one keeps it
        assert (await identity.sign_in("b@example.org", "zv8quilt")).secret


async def test_an_operators_own_list_is_heeded_and_another_one_in_its_place_at_once(
    settings: Settings, sessions: Sessions, clock: Hands, tmp_path: Path
) -> None:
    mounted = write(tmp_path / "list", BREACHED)
    async with served(replace(settings, breached_passwords=f"{mounted}"), sessions, clock) as identity:
        for said in (BREACHED, BREACHED.upper()):
            with refused("PASSWORD_WEAK") as told:
                await create(identity, said)
            assert "breach" in told[0].violations[0].description
        write(tmp_path / "new", "another long password of theirs").replace(mounted)
        await create(identity, BREACHED)
        with refused("PASSWORD_WEAK"):
            await create(identity, "another long password of theirs", "b@example.org")
        (tmp_path / "half").write_bytes(mounted.read_bytes()[:40])
        (tmp_path / "half").replace(mounted)
        with refused("PASSWORD_WEAK"):  # the one before holds on
            await create(identity, "another long password of theirs", "b@example.org")
        mounted.unlink()
        with refused("PASSWORD_WEAK"):
            await create(identity, "another long password of theirs", "b@example.org")


def test_a_file_that_is_cut_short_where_it_is_ends_no_process(tmp_path: Path) -> None:
    mounted = Mounted(f"{write(tmp_path / 'list', *(f'known {number}' for number in range(5_000)))}")
    assert "known 7" in mounted
    (tmp_path / "list").write_bytes(b"")
    assert "known 7" not in mounted


@pytest.mark.parametrize("content", [b"", b"x" * 20, b"x" * 64, HEAD.pack(b"rapport\x01", 3, 64, 1), None])
def test_a_file_that_is_none_stops_the_start(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "list"
    if content is not None:
        path.write_bytes(content)
        with pytest.raises(Malformed):
            Blocklist(path)
    with pytest.raises(SettingsError, match="RAPPORT_BREACHED_PASSWORDS"):
        Mounted(f"{path}")


def test_a_list_of_hashes_is_as_good_as_one_of_passwords(tmp_path: Path) -> None:
    source, target = tmp_path / "hashes.txt", tmp_path / "list"
    known = ["first of theirs", "second of theirs"]
    digests = [f"{sha1(one).hex().upper()}:{number}" for number, one in enumerate(known)]
    source.write_text("\n".join(digests) + "\n")
    program = [sys.executable, "-P", "-m", "services.identity.blocklists"]
    command = [*program, "--sha1", "0.000001", f"{source}", f"{target}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stdout.startswith("2 passwords, ")
    assert target.read_bytes() == built(of_digests(digests), 2, 1e-6) == write(tmp_path / "same", *known).read_bytes()
    assert [one in Blocklist(target) for one in (*known, "third of theirs")] == [True, True, False]
