from argparse import Namespace

from deploy.local import launch
from deploy.local.apply import apply
from deploy.local.settings import Outside


def command(asked: Namespace, _: Outside) -> int:
    print(apply(launch.running(asked.state), asked.folder, say=print))
    return 0
