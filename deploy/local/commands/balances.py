from argparse import Namespace

from deploy.local import launch
from deploy.local.balances import bring_in
from deploy.local.settings import Outside


def command(asked: Namespace, _: Outside) -> int:
    """Opening balances: 1 where a line was not booked, so that a script notices."""
    report = bring_in(launch.running(asked.state), asked.file, dry=asked.dry_run, say=print)
    done = "would be booked" if asked.dry_run else "booked"
    print(
        f"{report.imported} lines {done} ({report.points} points), {report.replayed} were before, {report.problems} not"
    )
    return 1 if report.problems else 0
