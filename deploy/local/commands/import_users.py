import json
import sys
from argparse import Namespace

from deploy.local import launch
from deploy.local.settings import Outside
from deploy.local.user_imports import SHOWN, Progress, bring_in


def command(asked: Namespace, _: Outside) -> int:
    """Users from elsewhere: 1 where a row was not taken, so that a script notices."""
    progress = Progress(sys.stderr.write, is_terminal=sys.stderr.isatty())
    report = bring_in(
        launch.running(asked.state),
        asked.file,
        dry=asked.dry_run,
        say=lambda word: print(word, file=sys.stderr),
        far=progress,
    )
    if asked.json:
        print(json.dumps(report.told()))
        return 1 if report.refused else 0
    for row in report.refused[:SHOWN]:
        print(row)
    if (more := len(report.refused) - SHOWN) > 0:
        print(f"and {more} more: --json lists all, and so does GET /v1/{report.name}/refusedRows")
    print(report)
    return 1 if report.refused else 0
