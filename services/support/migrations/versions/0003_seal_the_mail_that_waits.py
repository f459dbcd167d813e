"""Seal the mail that waits."""

from chassis.migrations import seal_mail

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    seal_mail()
