import importlib
import importlib.util
from argparse import Namespace

from deploy.local.settings import Outside
from deploy.local.terminal import LocalError


def command(asked: Namespace, _: Outside) -> int:
    if not asked.name.isidentifier() or importlib.util.find_spec(f"tests.bench.{asked.name}") is None:
        raise LocalError(f"there is no measurement called {asked.name} in tests/bench.")
    return int(importlib.import_module(f"tests.bench.{asked.name}").main(as_json=asked.json))
