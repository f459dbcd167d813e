"""The rules of rewards, in versions; what was claimed by one keeps it. The database begins with a first version."""

from calendar import monthrange
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.etags import check_etag, etag_of
from services.loyalty.models import Action, BonusMark, Dimension, RewardRules, Verdict

ETAG = "reward_rules"


@dataclass(frozen=True)
class Limit:
    """How often something may come in a window before one more is judged `beyond`."""

    action: Action
    dimension: Dimension
    window_hours: int
    most: int
    beyond: Verdict

    @property
    def window(self) -> timedelta:
        return timedelta(hours=self.window_hours)


@dataclass(frozen=True, kw_only=True)
class Rules:
    version: int = 0
    referrer_points: int
    referred_points: int
    claim_days: int
    return_days: int
    guest_days: int
    mark_months: int
    end_time: datetime | None
    limits: tuple[Limit, ...]

    @classmethod
    def read(cls, row: RewardRules) -> "Rules":
        said = dict(row.said)
        end = said.pop("end_time")
        limits = tuple(
            Limit(
                Action(one["action"]),
                Dimension(one["dimension"]),
                one["window_hours"],
                one["most"],
                Verdict(one["beyond"]),
            )
            for one in said.pop("limits")
        )
        return cls(version=row.version, end_time=datetime.fromisoformat(end) if end else None, limits=limits, **said)

    def said(self) -> dict[str, Any]:
        said = asdict(self)
        del said["version"]
        return said | {"end_time": self.end_time.isoformat() if self.end_time else None}

    def mark_ends(self, made: datetime) -> datetime:
        """When a mark of the newsletter's bonus that was made then is deleted."""
        return months_after(self.end_time or made, self.mark_months)


async def latest(session: AsyncSession) -> Rules:
    """The rules in force."""
    newest = select(RewardRules).order_by(RewardRules.version.desc()).limit(1)
    return Rules.read((await session.scalars(newest)).one())


async def replace(session: AsyncSession, rules: Rules, *, campaign: str, etag: str, now: datetime) -> Rules:
    """Put a new version in force. The rules that are in force already make none."""
    await session.execute(text("LOCK TABLE reward_rules IN SHARE ROW EXCLUSIVE MODE"))  # a few times a year, and short
    current = await latest(session)
    check_etag(etag, current.version, ETAG)
    if current.said() == rules.said():
        return current
    replaced = RewardRules(version=current.version + 1, said=rules.said(), create_time=now)
    session.add(replaced)
    await session.flush()
    if rules.end_time is not None:  # which says of every mark of the campaign how long it is kept
        ended = update(BonusMark).where(BonusMark.campaign == campaign)
        await session.execute(ended.values(delete_time=rules.mark_ends(rules.end_time)))
    return Rules.read(replaced)


def etag(rules: Rules) -> str:
    return etag_of(rules.version, ETAG)


def months_after(at: datetime, months: int) -> datetime:
    """The same day so many months later; the last of the month where it has no such day."""
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    return at.replace(year=year, month=month + 1, day=min(at.day, monthrange(year, month + 1)[1]))
