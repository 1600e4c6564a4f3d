#!/usr/bin/env python3
"""Asks the MLRsearch package of PyPI what it makes of random trial histories and of ideal devices.

    python3 -m venv /tmp/oracle
    /tmp/oracle/bin/pip install MLRsearch==1.2.1
    /tmp/oracle/bin/python benches/oracle/mlrsearch.py > benches/oracle/mlrsearch.txt

The histories follow from a seed, so the file holds the answers only; the test in
benches/src/search/mlr/oracle.rs makes the same histories. Each answer is checked here against the
code of RFC 9971, appendices A and B, and a difference is written out.
"""

import importlib.metadata
import sys

from MLRsearch import (
    AbstractMeasurer,
    Config,
    MeasurementResult,
    MultipleLossRatioSearch,
    SearchGoal,
)
from MLRsearch.target_spec import TargetSpec
from MLRsearch.target_stat import TargetStat

HISTORIES = 10_000
MASK = (1 << 64) - 1


class Random:
    """SplitMix64."""

    def __init__(self, seed):
        self.state = seed

    def below(self, end):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % end

    def choice(self, values):
        return values[self.below(len(values))]


def history(random):
    """A goal, and trials as pairs of seconds and lost parts per million."""
    final = random.choice([0.25, 0.5, 1.0, 2.0, 60.0])
    duration_sum = final * random.choice([1.0, 2.0, 3.0, 7.0, 21.0])
    loss = random.choice([0, 1_000, 5_000])
    exceed = random.choice([0.0, 0.2, 0.25, 0.5, 0.75])
    trials = []
    for _ in range(random.below(26)):
        seconds = final * random.choice([0.25, 0.5, 1.0, 2.0])
        lost = random.choice([0, loss // 2, loss, loss * 2, 10_000, 1_000_000])
        trials.append((seconds, lost))
    return final, duration_sum, loss, exceed, trials


def rfc_class(final, duration_sum, loss, exceed, trials):
    full_low = full_high = short_low = short_high = 0.0
    for seconds, lost in trials:
        low, full = lost / 1e6 <= loss / 1e6, seconds >= final
        full_low += seconds if full and low else 0.0
        full_high += seconds if full and not low else 0.0
        short_low += seconds if low and not full else 0.0
        short_high += seconds if not full and not low else 0.0
    balancing = short_low * (exceed / (1.0 - exceed))
    high = full_high + max(0.0, short_high - balancing)
    whole = max(full_low + high, duration_sum)
    quantile = whole * exceed
    return high <= quantile, whole - full_low <= quantile


def rfc_quantile(final, duration_sum, loss, exceed, trials):
    full = sorted((lost / 1e6, seconds) for seconds, lost in trials if seconds >= final)
    remaining = max(duration_sum, sum(seconds for _, seconds in full)) * (1.0 - exceed)
    quantile = None
    for ratio, seconds in full:
        if quantile is not None and remaining <= 0.0:
            return quantile
        quantile = ratio
        remaining -= seconds
    return 1.0 if remaining > 0.0 else quantile


def package(final, duration_sum, loss, exceed, trials):
    target = TargetSpec(
        loss_ratio=loss / 1e6,
        exceed_ratio=exceed,
        discrete_width=None,
        trial_duration=final,
        duration_sum=duration_sum,
        expansion_coefficient=2,
        fail_fast=False,
        preceding=None,
    )
    stat = TargetStat(target)
    for seconds, lost in trials:
        stat.add(
            MeasurementResult(
                intended_duration=seconds,
                intended_load=1e6 / seconds,
                offered_count=1_000_000,
                loss_count=lost,
            )
        )
    ratio = stat.pessimistic_loss_ratio if stat.long_losses else None
    return stat.estimates(), ratio


def histories():
    random, differing = Random(9971), 0
    for number in range(HISTORIES):
        given = history(random)
        answer, ratio = package(*given)
        expected = rfc_class(*given)
        if answer != expected:
            differing += 1
            print(f"history {number}: the package says {answer}, RFC 9971 {expected}: {given}",
                  file=sys.stderr)
        if ratio is not None and ratio != rfc_quantile(*given):
            differing += 1
            print(f"history {number}: quantile {ratio} {rfc_quantile(*given)}: {given}",
                  file=sys.stderr)
        word = {(True, True): "L", (False, False): "U"}.get(answer, "?")
        print(word, "-" if ratio is None else round(ratio * 1e6))
    print(f"{differing} answers differ from RFC 9971", file=sys.stderr)


class Ideal(AbstractMeasurer):
    """Forwards a fixed number of frames per second."""

    def __init__(self, capacity):
        self.capacity = capacity

    def measure(self, intended_duration, intended_load):
        offered = round(intended_load * intended_duration)
        forwarded = min(offered, int(self.capacity * intended_duration))
        return MeasurementResult(
            intended_duration=intended_duration,
            intended_load=intended_load,
            offered_count=offered,
            forwarding_count=forwarded,
        )


def searches():
    for capacity in [123_456.0, 812_345.0, 2_690_000.0, 7_030_000.0, 14_880_952.0]:
        goals = [
            SearchGoal(
                loss_ratio=loss,
                exceed_ratio=0.5,
                relative_width=0.005,
                initial_trial_duration=0.25,
                final_trial_duration=0.25,
                duration_sum=5.25,
                preceding_targets=2,
            )
            for loss in (0.0, 0.005)
        ]
        config = Config()
        config.goals, config.min_load, config.max_load = goals, 10_000.0, 20_000_000.0
        results = MultipleLossRatioSearch(config=config).search(Ideal(capacity), lambda _: None)
        bounds = [int(float(results[goal].relevant_lower_bound)) for goal in config.goals]
        print("search", int(capacity), *bounds)


if __name__ == "__main__":
    print("# MLRsearch", importlib.metadata.version("MLRsearch"))
    histories()
    searches()
