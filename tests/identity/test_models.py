from chassis.migrations import drift
from services.identity.models import Base


async def test_the_steps_lead_to_the_models(database: str) -> None:
    assert await drift(database, "identity") == []
    assert "user" in Base.metadata.tables
