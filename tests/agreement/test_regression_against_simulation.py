"""The exact risk of quantized regression against runs: every quantizer alone, and combinations, by z-score."""

import numpy as np
import pytest

from steode import regression
from steode.parts.spectrum import PowerLaw
from steode.parts.stochastic import AdditiveNoise, CommonFactor, MultiplicativeNoise

KINDS = {"additive": AdditiveNoise, "multiplicative": MultiplicativeNoise, "common": CommonFactor}
STRENGTHS = {"data": 0.1, "label": 0.2, "parameter": 0.1, "activation": 0.2, "gradient": 0.3}
LARGEST_Z = 4.5
"""Of about 500 scores, many of them correlated, the largest exceeds it with probability below 0.4 percent."""
STEPS, RECORD = 120, [30, 60, 120]
BASE = regression.RegressionModel(
    spectrum=PowerLaw(2.0, 20),
    teacher=np.linspace(1, -2, 20),
    init=0.3,
    step_size=0.2,
    batch_size=3,
    average_fraction=0.6,
)


def with_kinds(kinds: dict[str, str], **changes) -> regression.RegressionModel:
    quantizers = {f"{role}_quantizer": KINDS[kind](STRENGTHS[role]) for role, kind in kinds.items()}
    return BASE.replace(**quantizers, **changes)


def check(model, seeds: int, key: int, steps: int = STEPS, record=RECORD):
    """All four measured quantities at all recorded steps."""
    exact = regression.risk(model, steps, record=record)
    runs = regression.simulate(model, steps, seeds=seeds, key=key, record=record)
    largest = {name: regression.compare(exact, runs, name).largest_z for name in runs.values}
    assert max(largest.values()) < LARGEST_Z, largest
    # the comparison means something: standard errors of a few percent
    assert np.all(runs.standard_error("raw_average") < 0.05 * exact["raw_average"])


ALONE = [(role, kind) for role in regression.ROLES for kind in KINDS]


@pytest.mark.parametrize(("role", "kind"), ALONE, ids=[f"{role}-{kind}" for role, kind in ALONE])
def test_every_quantizer_alone(role, kind):
    check(with_kinds({role: kind}), seeds=2000, key=ALONE.index((role, kind)))


@pytest.mark.representative
@pytest.mark.parametrize("scheme", KINDS)
def test_all_five_of_one_scheme(scheme):
    check(with_kinds(dict.fromkeys(regression.ROLES, scheme)), seeds=4000, key=100)


@pytest.mark.parametrize("number", range(10))
def test_random_combinations(number):
    """Kinds, batch, averaging and step size drawn with a fixed seed."""
    random = np.random.default_rng(number)
    names = [*KINDS, None]
    chosen = {role: names[random.integers(4)] for role in regression.ROLES}
    changes = {
        "batch_size": int(random.integers(1, 6)),
        "average_fraction": float(random.uniform(0.1, 1)),
        "noise": float(random.uniform(0, 2)),
        "spectrum": PowerLaw(float(random.uniform(0.5, 2.5)), int(random.integers(2, 30))),
        "teacher": 1.0,
    }
    model = with_kinds({role: kind for role, kind in chosen.items() if kind}, **changes)
    # well below the threshold: close to it risks have no variance and scores no meaning
    step = 0.15 * regression.stability(model).largest_step_size
    check(model.replace(step_size=step), seeds=4000, key=200 + number)


def test_the_published_setting_in_two_hundred_dimensions():
    """lambda_i = i^-2, w* = 1, sigma = 1, B = 1, both schemes of the paper."""
    plain = regression.RegressionModel(spectrum=PowerLaw(2.0, 200), step_size=0.05)
    for scheme in ("additive", "common"):
        check(regression.quantize(plain, scheme, 0.01), seeds=100, key=1, steps=1000, record=[10, 100, 1000])


def test_isotropic_inputs():
    check(with_kinds({"data": "additive"}, spectrum=np.ones(20), step_size=0.05), seeds=1000, key=2)
