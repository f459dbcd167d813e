"""What identity does by the clock."""

from importlib import import_module
from pkgutil import walk_packages

import services.identity
from chassis.database import Sessions
from chassis.jobs import Job
from services.identity import contacts
from services.identity.__main__ import service
from services.identity.oauth import backchannel
from services.identity.settings import Settings
from tests.world import Hands


def test_every_job_is_run(settings: Settings, sessions: Sessions, clock: Hands) -> None:
    path = services.identity.__path__
    modules = [
        import_module(one.name) for one in walk_packages(path, "services.identity.") if "migrations" not in one.name
    ]
    written = {one.name for module in modules for one in vars(module).values() if isinstance(one, Job)}
    made = {backchannel.NAME, contacts.NAME}  # of what only the service has
    assert written | made == {one.name for one in service(settings, sessions, clock).jobs}
