"""What makes an empty platform a store: its data, and people to try it with."""

import asyncio
import time
from typing import Any

from deploy.local.launch import Platform
from deploy.local.state import CLONE
from deploy.local.terminal import LocalError, step

STORE = CLONE / "deploy/store"


def furnish(platform: Platform) -> dict[str, Any]:
    """Bring the store's data and the sample people in. Who they are, and the password they share."""
    plan = platform.plan
    if plan.only:
        return {}
    # Only now, while the services start: what these import takes most of a second.
    import grpc

    from deploy.local import people
    from deploy.local.apply import apply

    start = time.monotonic()
    platform.step("store", apply(plan, STORE), time.monotonic() - start)
    if not plan.own_engines:
        platform.say(step("people", "none: they are made only on engines of our own"))
        return {}
    start = time.monotonic()
    try:
        made = asyncio.run(people.make(plan))
    except grpc.aio.AioRpcError as refused:
        raise LocalError(f"identity makes no people ({refused.details()}). See {plan.state.log('identity')}") from None
    platform.step("people", ", ".join(one["name"] for one in made), time.monotonic() - start)
    return {"people": made, "password": people.password(plan)}
