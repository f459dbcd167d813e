import shutil
import subprocess
import sys
from argparse import Namespace

from deploy.local.settings import Outside
from deploy.local.state import CLONE

FAILED = 1  # pytest's word for it; the others say that they could not be asked
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def command(asked: Namespace, outside: Outside) -> int:
    """The tests, two at a time, each on engines of its own. What is given beside is pytest's.

    What fails beside others is asked once more, alone, and said so: what fails twice fails.
    """
    left_out = [] if asked.long else ["long"]
    if not any(map(shutil.which, BROWSERS)):
        left_out.append("browser")
        print("Browser tests are skipped: there is no chromium here. On Debian: apt install chromium", flush=True)
    if not any("tests/faults" in one for one in asked.rest):
        left_out.append("faults")
        print("The fault runs are apart, they take half an hour: ./rapport test --long tests/faults", flush=True)
    # In the order of their names, not of how many tests a file has: the few that take long would be left for the end.
    options = [
        "-n",
        "2",
        "--dist",
        "loadfile",
        "--no-loadscope-reorder",
        "-m",
        " and ".join(f"not {one}" for one in left_out),
    ]
    if asked.replicas > 1:
        options.append(f"--replicas={asked.replicas}")

    def tried(*more: str) -> int:
        arguments = [sys.executable, "-m", "pytest", *options, *asked.rest, *more]
        return subprocess.run(arguments, cwd=CLONE, env=dict(outside.inherited), check=False).returncode

    code = tried()
    if code != FAILED or "-n" in asked.rest:
        return code
    print("\nFailed beside others; once more, alone:", flush=True)
    return tried("-n", "0", "--last-failed", "--last-failed-no-failures", "none")
