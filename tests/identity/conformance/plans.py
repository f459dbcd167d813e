"""Which module of which plan is shown by which function of ours."""

import tomllib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from tests.identity.conformance.party import Party

BASIC, CONFIG = "oidcc-basic-certification-test-plan", "oidcc-config-certification-test-plan"
FORM_POST = "oidcc-formpost-basic-certification-test-plan"
RP_LOGOUT = "oidcc-rp-initiated-logout-certification-test-plan"
BACK_CHANNEL = "oidcc-backchannel-rp-initiated-logout-certification-test-plan"
Module: TypeAlias = Callable[[Party], Awaitable[None]]
SHOWN: dict[tuple[str, str], Module] = {}


def module(id: str, *plans: str) -> Callable[[Module], Module]:
    """Say that a function shows the module of that id, in the Basic plan and with form_post unless it names others."""

    def note(function: Module) -> Module:
        for plan in plans or (BASIC, FORM_POST):
            assert (plan, id) not in SHOWN, f"{plan} {id} is shown twice"
            SHOWN[plan, id] = function
        return function

    return note


def listed() -> Iterator[tuple[str, str]]:
    """Every plan with every module that it has, as the suite says it."""
    plans = tomllib.loads(Path(__file__).with_name("modules.toml").read_text())
    for name, plan in plans.items():
        yield from ((name, one) for one in plans[plan.get("as", name)]["modules"])
