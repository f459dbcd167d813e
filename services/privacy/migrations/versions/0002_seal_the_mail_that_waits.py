"""Seal the mail that waits."""

from chassis.migrations import seal_mail

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    seal_mail()
