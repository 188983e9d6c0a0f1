"""What a million dialogues cost by each way: computed, not measured.

    python benchmarks/million.py [--json] [--quick]

Calls and tokens are those of `workbench dialogues generate --dry-run`: the real requests of a sample of each shipped workflow's
plan, at four characters a token (--quick: a smaller sample). Dollars come from the price table of this version, the batch interface
at half of them; the machine of one's own is the table's "paper-a100" (a rented A100 at 2.50 dollars an hour whose vLLM reads 15,000
and writes 3,000 tokens a second at batch 64; the paper's model, not ours). Prompt caching and repeated replies are left out.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from common import Finding, main

from workbench.dialogue.estimate import Estimate, estimate
from workbench.dialogue.generation import Order, planned_scenarios
from workbench.dialogue.model_writer import writer_of
from workbench.home import Home
from workbench.models.client import Usage
from workbench.models.prices import BATCH_SHARE, Price, load_prices
from workbench.store.record import connect
from workbench.workflow.load import load_workflow

MILLION = 1_000_000
WORKFLOWS = ("travel_booking", "zoom_support", "insurance_claims")
MODELS = ("anthropic/claude-sonnet-4-5", "openai/gpt-4.1")
MACHINE = "paper-a100"


def measure(quick: bool) -> Sequence[Finding]:
    with tempfile.TemporaryDirectory() as folder:
        return list(_all(Home(Path(folder) / "runs").make(), 12 if quick else 96))


def _all(home: Home, sample: int) -> Iterator[Finding]:
    prices = load_prices(home)
    machine = prices.machines[MACHINE]
    for name in WORKFLOWS:
        for manner in ("whole", "turns"):
            one = f"{name}, {manner}"
            found = _estimate(home, name, manner, sample)
            yield Finding(f"{one}: calls a dialogue", found.calls / MILLION, "calls")
            yield Finding(f"{one}: tokens in, a dialogue", found.input / MILLION, "tokens")
            yield Finding(f"{one}: tokens out, a dialogue", found.output / MILLION, "tokens")
            for model in MODELS:
                dollars = _dollars(prices.price(model), found)
                yield Finding(f"{one}: a million by {model}", dollars, "USD")
                if model.startswith("anthropic/") and manner == "whole":
                    yield Finding(f"{one}: the same by the batch", dollars * BATCH_SHARE, "USD")
            hours = (found.input / machine.prefill_tokens_per_s + found.output / machine.decode_tokens_per_s) / 3600
            yield Finding(f"{one}: a million by one A100, as the paper models it", hours, "hours")
            yield Finding(f"{one}: the same in money", hours * machine.usd_per_hour, "USD")


def _estimate(home: Home, name: str, manner: str, sample: int) -> Estimate:
    workflow = load_workflow(name)
    scenarios = list(islice(planned_scenarios(workflow, Order(name, max(sample, 100)), "train"), sample))
    with connect(home) as rec:
        return estimate(rec, workflow, scenarios, MILLION, writer_of(MODELS[0], manner), (None, None))


def _dollars(price: Price | None, found: Estimate) -> float:
    assert price is not None
    return price.cost(Usage(input=found.input, output=found.output))


if __name__ == "__main__":
    main(measure, (__doc__ or "").splitlines()[0])
