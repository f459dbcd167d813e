"""What the privacy service is told."""

from dataclasses import dataclass
from datetime import timedelta

from chassis.settings import ServiceSettings


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """As every service, and how often it looks after its erasures."""

    scan_seconds: float = 1.0  # between two looks for erasures to verify, by the platform's clock

    @property
    def scan_every(self) -> timedelta:
        return timedelta(seconds=self.scan_seconds)
