"""A platform and Debian's chromium, for the tests that look at the page as people do."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser as Chromium
from playwright.async_api import async_playwright

from deploy.local.commands.test import BROWSERS
from deploy.local.people import password
from deploy.local.plan import Plan
from deploy.local.throwaway import platform
from tests import engines
from tests.browser.people import Customer, make_customer
from tests.browser.window import OUTPUT


@pytest.fixture(scope="package")
def plan(replicas: int) -> Iterator[Plan]:
    with platform(replicas=replicas, where=engines.memory()) as (running, _):
        yield running.plan


@pytest.fixture(scope="package")
def ada(plan: Plan) -> Customer:
    return asyncio.run(make_customer(plan, "ada@example.org", password(plan)))


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def chromium() -> AsyncIterator[Chromium]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("there is no chromium here")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        await browser.close()
