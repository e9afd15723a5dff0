"""What tokens cost, by list prices: an estimate for budgets and audit, no invoice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import msgspec

from coworkai.common.errors import SettingsError
from coworkai.insights.llm import Provider


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars per million tokens of a model, for prompts of more than `above_input_tokens`.

    Of all tenants, or of the one that is named."""

    provider: Provider
    model: str
    input_usd: float
    output_usd: float
    above_input_tokens: int = 0
    tenant: str | None = None

    def cost_microusd(self, input_tokens: int, output_tokens: int) -> int:
        """Millionths of a dollar, rounded up: dollars per million tokens are millionths per token."""
        return math.ceil(input_tokens * self.input_usd + output_tokens * self.output_usd)


class _PriceFile(msgspec.Struct, forbid_unknown_fields=True):
    price: list[Price]


class Prices:
    """Prices, those of earlier files before those of later ones."""

    def __init__(self, *prices: Sequence[Price]) -> None:
        self._files = prices

    @classmethod
    def load(cls, own: Path | None = None) -> Prices:
        """The list prices, and before them those of a file of one's own. Raises SettingsError."""
        listed = files("coworkai.insights").joinpath("prices.toml").read_bytes()
        try:
            return cls(*([] if own is None else [_read(own.read_bytes())]), _read(listed))
        except (OSError, msgspec.DecodeError) as error:
            raise SettingsError("model_prices is not a file of prices") from error

    def of(self, tenant_id: str, provider: Provider, model: str, input_tokens: int) -> Price | None:
        """The price for a prompt of that size, the tenant's own first; None where nobody has given one."""
        for tenant in (tenant_id, None):
            for prices in self._files:
                fitting = [
                    price
                    for price in prices
                    if (price.tenant, price.provider, price.model) == (tenant, provider, model)
                    and (price.above_input_tokens == 0 or input_tokens > price.above_input_tokens)
                ]
                if fitting:
                    return max(fitting, key=lambda price: price.above_input_tokens)
        return None


def _read(content: bytes) -> list[Price]:
    return msgspec.toml.decode(content, type=_PriceFile).price
