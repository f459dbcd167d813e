"""`./rapport demo`: the story on a running platform, a line a step, or one JSON object a step."""

import asyncio
import json
import time
import traceback
from collections.abc import Mapping
from typing import Any

from deploy.local.plan import Plan
from deploy.local.terminal import step as line
from tests.journeys.people import gateway_client, mailbox_client
from tests.journeys.story import STEPS, begin


def main(plan: Plan, _: Mapping[str, Any], *, as_json: bool) -> int:
    """Tell the story; 0 when every step held, else 1 at the first that did not."""
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
                print(line(f"{number:2}  {title}", "", seconds, good=not problem), flush=True)
                print(f"       {told or problem}", flush=True)
            if problem:
                return 1
    if not as_json:
        print(f"\n All {len(STEPS)} steps held, in {time.monotonic() - started:.1f} s\n")
    return 0
