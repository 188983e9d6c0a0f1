"""What a call costs: the dated price list, the user's own beside it, and machines rented by the hour."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.home import Home
from workbench.models.client import Usage

BATCH_SHARE = 0.5
"""What a call costs through the Message Batches API, cache reads and writes included."""
LOCAL_PRICE = "WORKBENCH_LOCAL_PRICE"
"""What local models cost: a machine in prices.json (`paper-a100`), DOLLARS_PER_HOUR (throughput as measured), or
DOLLARS_PER_HOUR:PREFILL:DECODE; unset: unknown. `local_price` of the settings file and `--price` set it."""
PAPER_PRICE = "paper-a100"
"""The machine of the paper's price model."""
PACKAGED = Path(__file__).with_name("prices.json")
_MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, or per second of the machine (`second`) where that is what is paid; `date`: of when.

    By the second the throughput is measured: our server says how much of its time each request took (a step's time is
    shared among all that it served); where a server does not say, a call counts as if the machine worked for it alone.
    """

    input: float
    output: float
    cache_read: float
    cache_write: float
    date: str
    second: float = 0.0

    def at_share(self, share: float) -> Price:
        """The same price with a discount: `share` 0.5 is half."""
        read, write = share * self.cache_read, share * self.cache_write
        return Price(share * self.input, share * self.output, read, write, self.date)

    def saved(self, usage: Usage) -> float:
        """US dollars that the prompt cache saved (negative: cost more than it saved)."""
        plain = replace(usage, input=usage.input + usage.cache_read + usage.cache_write, cache_read=0, cache_write=0)
        return self.cost(plain) - self.cost(usage)

    def cost(self, usage: Usage) -> float:
        """US dollars of the tokens of one call."""
        return (
            usage.input * self.input
            + usage.output * self.output
            + usage.cache_read * self.cache_read
            + usage.cache_write * self.cache_write
        ) / _MILLION


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine paid by the hour, and what it gets through: its price per token follows."""

    usd_per_hour: float
    prefill_tokens_per_s: float
    decode_tokens_per_s: float

    def price(self, date: str) -> Price:
        """Dollars per million tokens at full use. Tokens read from the cache cost no time worth counting."""
        second = self.usd_per_hour / 3600
        prefill = _MILLION * second / self.prefill_tokens_per_s
        return Price(prefill, _MILLION * second / self.decode_tokens_per_s, 0.0, prefill, date)


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices by model name (`anthropic/…`, `openai/…`, or any name the user gives), and machines by name."""

    date: str
    models: Mapping[str, Price]
    machines: Mapping[str, Machine]

    def price(self, model: str) -> Price | None:
        """The price of `model`; a dated snapshot (`…-20250929`) costs what its model does. None if unknown."""
        return self.models.get(model) or self.models.get(re.sub(r"-20\d{2}-?\d{2}-?\d{2}$", "", model))

    def machine(self, name: str) -> Price:
        """What a machine costs: a name in the list, `DOLLARS_PER_HOUR:PREFILL:DECODE` (tokens/s), or dollars an hour alone.

        The last takes the throughput as it is measured, call by call.
        """
        if name in self.machines:
            return self.machines[name].price(self.date)
        try:
            if ":" not in name:
                if not 0 <= float(name) < math.inf:
                    raise ValueError("no such price")
                return Price(0.0, 0.0, 0.0, 0.0, self.date, float(name) / 3600)
            hour, prefill, decode = (float(part) for part in name.split(":"))
            return _machine(
                {"usd_per_hour": hour, "prefill_tokens_per_s": prefill, "decode_tokens_per_s": decode}
            ).price(self.date)
        except ValueError as error:
            known = ", ".join(sorted(self.machines))
            raise UserError(
                f'no price for machine "{name}": give one of {known}, DOLLARS_PER_HOUR, or DOLLARS_PER_HOUR:PREFILL:DECODE (tokens/s)'
            ) from error


def load_prices(home: Home | None = None) -> PriceList:
    """The packaged list, with `prices.json` of the home folder (same form, any part of it) laid over it."""
    own = home.root / "prices.json" if home else None
    packaged = _read(PACKAGED)
    if own is None or not own.is_file():
        return packaged
    mine = _read(own, packaged.date)
    return PriceList(mine.date, {**packaged.models, **mine.models}, {**packaged.machines, **mine.machines})


@cache
def _packaged_cache() -> Mapping[str, float]:
    found: dict[str, float] = json.loads(PACKAGED.read_text(encoding="utf-8"))["cache"]
    return found


def _read(file: Path, date: str = "undated") -> PriceList:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        date = str(data.get("date", date))
        ratio = {**_packaged_cache(), **data.get("cache", {})}
        models = {name: _price(entry, ratio, date) for name, entry in data.get("models", {}).items()}
        machines = {name: _machine(entry) for name, entry in data.get("machines", {}).items()}
    except (OSError, ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError) as error:
        raise UserError(f"{file}: not a price list ({error}); prices.json of the package shows the form") from error
    return PriceList(date, models, machines)


def _price(entry: Mapping[str, Any], ratio: Mapping[str, float], date: str) -> Price:
    paid_in, paid_out = float(entry["input"]), float(entry["output"])
    read = float(entry.get("cache_read", paid_in * ratio["read"]))
    write = float(entry.get("cache_write", paid_in * ratio["write"]))
    if min(paid_in, paid_out, read, write) < 0:
        raise ValueError("a price is negative")
    return Price(paid_in, paid_out, read, write, str(entry.get("date", date)))


def _machine(entry: Mapping[str, Any]) -> Machine:
    hour = float(entry["usd_per_hour"])
    prefill, decode = float(entry["prefill_tokens_per_s"]), float(entry["decode_tokens_per_s"])
    if hour < 0 or prefill <= 0 or decode <= 0:
        raise ValueError("dollars an hour must be 0 or more and tokens a second above 0")
    return Machine(hour, prefill, decode)
