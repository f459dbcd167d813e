import time
from argparse import Namespace

from deploy.local import launch
from deploy.local.settings import Outside
from deploy.local.terminal import step


def command(asked: Namespace, _: Outside) -> int:
    start = time.monotonic()
    if launch.stop(asked.state):
        print(step("down", "everything has stopped, the data is kept", time.monotonic() - start))
    else:
        print("It is not running.")
    return 0
