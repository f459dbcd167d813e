"""Seal the mail that waits."""

from chassis.migrations import seal_mail

revision = "0015"
down_revision = "0012"


def upgrade() -> None:
    seal_mail()
