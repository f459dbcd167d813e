"""`./rapport demo`: the story on a running platform, a line a step, or one JSON object a step."""

import asyncio
import json
import logging
import textwrap
import time
import traceback
from collections.abc import Mapping
from typing import Any

import structlog

from deploy.local.plan import Plan
from deploy.local.terminal import mark
from tests.journeys.people import gateway_client, mailbox_client
from tests.journeys.steps import STEPS
from tests.journeys.story import begin


def main(plan: Plan, _: Mapping[str, Any], *, as_json: bool) -> int:
    """Tell the story; 0 when every step held, else 1 at the first that did not."""
    # What the line to NATS says of itself is no part of it.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    return asyncio.run(tell(plan, as_json=as_json))


async def tell(plan: Plan, *, as_json: bool) -> int:
    started = time.monotonic()
    async with gateway_client(plan) as store, mailbox_client(plan) as mail:
        story = await begin(plan, store, mail)
        for number, (title, act) in enumerate(STEPS, 1):
            began = time.monotonic()
            try:
                told, problem = await act(story), ""
            except Exception as error:  # whatever it was, the step did not hold: say so, and where
                told, problem = "", "".join(traceback.format_exception(error)).strip()
            seconds = time.monotonic() - began
            if as_json:
                shown = {"step": number, "title": title, "held": not problem, "told": told, "problem": problem}
                print(json.dumps(shown | {"seconds": round(seconds, 3)}), flush=True)
            else:
                print(lines(number, title, told or problem, seconds, good=not problem), flush=True)
            if problem:
                return 1
    if not as_json:
        print(f"\n All {len(STEPS)} steps held, in {time.monotonic() - started:.1f} s\n")
    return 0


def lines(number: int, title: str, told: str, seconds: float, *, good: bool) -> str:
    """A step for an 80-column terminal: what it is, then what came of it and how long it took."""
    first, *rest = textwrap.wrap(title, 70)
    head = "\n".join([f" {mark(good=good)} {number:2}  {first}", *(f"       {one}" for one in rest)])
    return f"{head}\n       {told}  ({seconds:.1f} s)"
