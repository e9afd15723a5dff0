"""What tokens cost, and what is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from coworkai.common.errors import SettingsError
from coworkai.insights.llm import Provider
from coworkai.insights.prices import Price, Prices


def test_a_listed_model_has_a_price_in_millionths_of_a_dollar() -> None:
    price = Prices.load().of("acme", Provider.GEMINI, "gemini-2.5-flash", 1_000)
    assert price is not None
    assert price.cost_microusd(1_000, 100) == 1_000 * 0.30 + 100 * 2.50


def test_a_fraction_of_a_millionth_counts_whole() -> None:
    assert Price(Provider.GEMINI, "m", 0.1, 0.1).cost_microusd(1, 0) == 1


def test_a_large_prompt_has_its_own_price() -> None:
    prices = Prices.load()
    small = prices.of("acme", Provider.GEMINI, "gemini-2.5-pro", 200_000)
    large = prices.of("acme", Provider.GEMINI, "gemini-2.5-pro", 200_001)
    assert small is not None
    assert large is not None
    assert (small.input_usd, large.input_usd) == (1.25, 2.50)


@pytest.mark.parametrize(
    ("provider", "model"), [(Provider.GEMINI, "gemini-99"), (Provider.OPENAI, "gemini-2.5-pro")]
)
def test_a_model_that_nobody_priced_has_no_price(provider: Provider, model: str) -> None:
    assert Prices.load().of("acme", provider, model, 1_000) is None


def test_a_file_of_ones_own_wins_and_a_tenants_price_before_it(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    pro = '[[price]]\nprovider = "gemini"\nmodel = "gemini-2.5-pro"\n'
    house = '[[price]]\nprovider = "openai"\nmodel = "house"\ninput_usd = 0\noutput_usd = 0\n'
    own.write_text(
        f'{pro}input_usd = 1\noutput_usd = 2\n{pro}input_usd = 3\noutput_usd = 4\ntenant = "acme"\n{house}',
        "utf-8",
    )
    prices = Prices.load(own)
    of_acme = prices.of("acme", Provider.GEMINI, "gemini-2.5-pro", 300_000)
    of_globex = prices.of("globex", Provider.GEMINI, "gemini-2.5-pro", 300_000)
    free = prices.of("globex", Provider.OPENAI, "house", 1)
    assert of_acme is not None
    assert of_globex is not None
    assert free is not None
    assert (of_acme.input_usd, of_globex.input_usd, free.cost_microusd(10, 10)) == (3, 1, 0)


@pytest.mark.parametrize("content", ["[[price]]\nmodel = 'm'\n", "no toml"])
def test_a_file_that_is_none_stops_the_service(tmp_path: Path, content: str) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(content, "utf-8")
    with pytest.raises(SettingsError, match="model_prices"):
        Prices.load(own)
    with pytest.raises(SettingsError, match="model_prices"):
        Prices.load(tmp_path / "missing.toml")
