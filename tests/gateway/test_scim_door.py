"""What stands before SCIM's face, so that a gateway starts without it."""

import subprocess
import sys
from typing import Any

from deploy.local.state import CLONE
from gateway.scim.credentials import Credentials
from gateway.scim.door import ROUTES, Door

UNASKED: Any = None


def test_the_door_knows_every_address_of_the_face() -> None:
    door = Door(UNASKED, Credentials(UNASKED, UNASKED), "https://store.example.org")
    assert set(door.load()) == set(ROUTES)


def test_a_gateway_starts_without_what_the_face_needs() -> None:
    """It was a third of the start, and a gateway that was killed has to be back at once."""
    loaded = (
        "import sys, gateway.__main__; print([one for one in sys.modules if one.startswith(('scim2', 'pydantic'))])"
    )
    told = subprocess.run([sys.executable, "-c", loaded], cwd=CLONE, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
