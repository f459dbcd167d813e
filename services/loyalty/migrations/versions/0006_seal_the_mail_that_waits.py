"""Seal the mail that waits."""

from chassis.migrations import seal_mail

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    seal_mail()
