from dataclasses import dataclass

from chassis.settings import Secret, ServiceSettings


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """What loyalty is told."""

    public_url: str  # where people reach the store's help centre: links in mails begin with it
    bonus_key: Secret  # keys of the bonus marks: hex, 32 bytes or more each, a line per version, the last one in use
    adjustment_limit: int = 1_000  # points that one person may correct alone, of one account within a day
