from argparse import Namespace

from deploy.local.settings import Outside
from deploy.local.throwaway import platform
from tests.journeys.demo import main


def command(asked: Namespace, _: Outside) -> int:
    """The story, on a platform that is there for it alone."""
    say = (lambda _: None) if asked.json else print
    with platform(say=say) as (running, people):
        return int(main(running.plan, people, as_json=asked.json))
