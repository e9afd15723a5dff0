"""One measured number with its target; the row of the table and of `bench-results/latest.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """`at_least` or `at_most` is the target, in `unit`; a number without a target is there to be compared
    with."""

    benchmark: str
    measure: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.at_least is None and self.at_most is None:
            return None
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:,.6g}"
        return "" if self.at_most is None else f"≤ {self.at_most:,.6g}"

    def row(self) -> dict[str, object]:
        """The JSON row."""
        return asdict(self) | {"met": self.met}
