"""Samples, and what is said of them."""

import json
import statistics
from dataclasses import dataclass, field
from typing import Any

ROUNDS = 5


@dataclass
class Figure:
    """One thing that was measured, over and over."""

    name: str
    unit: str
    samples: list[float]
    bound: float | None = None
    is_least: bool = False  # the bound is a floor, not a ceiling
    detail: dict[str, Any] = field(default_factory=dict)  # the raw samples a ratio was made of

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def holds(self) -> bool:
        """Recomputed from the samples, whatever was printed."""
        if self.bound is None:
            return True
        return self.median >= self.bound if self.is_least else self.median <= self.bound

    def told(self) -> dict[str, Any]:
        return {
            "figure": self.name,
            "unit": self.unit,
            "median": round(self.median, 4),
            "least": round(min(self.samples), 4),
            "most": round(max(self.samples), 4),
            "samples": [round(one, 4) for one in self.samples],
            "bound": self.bound,
            "holds": self.holds,
            **self.detail,
        }

    def line(self) -> str:
        said = "" if self.bound is None else f"  {'at least' if self.is_least else 'at most'} {self.bound:g}"
        verdict = "" if self.bound is None else "  holds" if self.holds else "  DOES NOT HOLD"
        spread = f"({min(self.samples):.3g} to {max(self.samples):.3g}, {len(self.samples)} runs)"
        return f"  {self.name}\n      {self.median:.3g} {self.unit} {spread}{said}{verdict}"


def ratio(name: str, over: list[float], under: list[float], **how: Any) -> Figure:
    """Pair by pair: what was measured in one round is compared with that round's other."""
    pairs = [a / b for a, b in zip(over, under, strict=True)]
    return Figure(name, "x", pairs, detail={"measured": rounded(over), "beside": rounded(under)}, **how)


def rounded(samples: list[float]) -> list[float]:
    return [round(one, 3) for one in samples]


def printed(figures: list[Figure], *, as_json: bool) -> int:
    """Print them; 0 when every bound holds."""
    if as_json:
        print(json.dumps({"figures": [one.told() for one in figures], "hold": all(one.holds for one in figures)}))
    else:
        print("\n".join(one.line() for one in figures))
    return 0 if all(one.holds for one in figures) else 1
