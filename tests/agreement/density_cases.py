"""Models on which the density solver's error estimates are held to account, and their reference values.

The values come from `tests/agreement/finite_elements.py`, which shares nothing with the package, and lie beside this
file with how far they moved when elements and steps were halved. To compute them again (minutes, all or those named):

    python -m tests.agreement.density_cases [NAME ...]
"""

import json
import pathlib
import sys

import numpy as np
import scipy.stats

from steode import (
    ClippedSurrogate,
    Constant,
    Discrete,
    Identity,
    Levels,
    LinearModel,
    Normal,
    PowerLaw,
    Schedule,
    StochasticRounding,
    TwoPoint,
    Uniform,
    UniformLaw,
)
from steode.parts.laws import ContinuousLaw
from tests.agreement import finite_elements
from tests.models import REFERENCE

FILE = pathlib.Path(__file__).with_name("density_references.json")

CASES = {
    "reference": (REFERENCE, (1.0, 5.0, 10.0, 25.0, 50.0), {}),
    "12 bits": (
        LinearModel(teacher=Constant(1.0), weight_quantizer=Uniform(12, 4.0), noise=0.1),
        (1.0, 5.0),
        {"smallest": 1.0, "steps": 20},
    ),
    "9 bits, Gaussian teacher": (
        LinearModel(teacher=Normal(), weight_quantizer=Uniform(9, 4.0), noise=0.1),
        (1.0, 5.0),
        {"smallest": 1.0, "steps": 15, "ends": (-12.0, 12.0)},
    ),
    "clipped": (
        LinearModel(
            teacher=Discrete((-1.0, 1.0)),
            weight_quantizer=Uniform(3, 2.0),
            surrogate=ClippedSurrogate(0.85),
            learning_rate=0.5,
            noise=0.3,
        ),
        (0.5, 2.0, 5.0, 20.0),
        {},
    ),
    "clipped at two bounds": (
        LinearModel(
            teacher=TwoPoint(1.0),
            weight_quantizer=Uniform(3, 2.0),
            surrogate=ClippedSurrogate(0.85, lower=-1.4),
            learning_rate=0.5,
            noise=0.3,
        ),
        (0.5, 2.0, 5.0, 20.0),
        {},
    ),
    "clipped at a threshold": (
        LinearModel(
            teacher=Constant(0.4),
            weight_quantizer=Uniform(2, 1.5),
            surrogate=ClippedSurrogate(1.0),
            learning_rate=0.3,
            noise=0.2,
        ),
        (0.5, 3.0, 10.0),
        {},
    ),
    "weight decay": (
        LinearModel(
            teacher=TwoPoint(0.7, 0.3),
            weight_quantizer=Uniform(2, 2.0),
            weight_decay=0.2,
            learning_rate=0.4,
            noise=0.2,
            batch_size=2,
        ),
        (0.5, 2.0, 8.0, 20.0),
        {},
    ),
    "spectrum": (
        LinearModel(
            teacher=Constant(0.8),
            weight_quantizer=Uniform(2, 2.0),
            input_quantizer=Uniform(3, 2.5),
            spectrum=PowerLaw(exponent=1.0, count=4, scale=2.0),
            learning_rate=0.3,
            noise=0.1,
        ),
        (0.5, 2.0, 10.0),
        {},
    ),
    "recovery on the last level": (
        LinearModel(teacher=Constant(2.0), weight_quantizer=Uniform(2, 2.0)),
        (5.0, 10.0, 15.0, 20.0, 22.0, 25.0),
        {"smallest": 1e-7, "steps": 400},
    ),
    "recovery inside the range": (
        LinearModel(teacher=Constant(1.0), weight_quantizer=Levels(range(-3, 4)), learning_rate=0.8),
        (1.0, 2.0, 5.0, 10.0, 30.0),
        {"smallest": 1e-7, "steps": 400},
    ),
    "Gaussian teacher": (
        LinearModel(teacher=Normal(), weight_quantizer=Uniform(2, 2.0)),
        (1.0, 5.0, 20.0),
        {"ends": (-18.0, 18.0)},
    ),
    "stochastic rounding, Gaussian teacher": (
        LinearModel(
            teacher=Normal(mean=0.3, std=0.8),
            weight_quantizer=StochasticRounding(Uniform(3, 2.0)),
            learning_rate=1.2,
            noise=0.3,
        ),
        (1.0, 4.0, 8.0),
        {"ends": (-60.0, 70.0), "smallest": 0.3, "largest": 1.0, "steps": 60},
    ),
    "falling learning rate, uniform start": (
        LinearModel(
            teacher=TwoPoint(0.6),
            weight_quantizer=Uniform(3, 2.0, kind="mid-tread"),
            init=UniformLaw(-1.5, 1.0),
            learning_rate=Schedule("0.6/(1 + tau/5)"),
            noise=0.1,
        ),
        (0.5, 2.0, 10.0),
        {"eta": lambda tau: 0.6 / (1 + tau / 5)},
    ),
}
"""name -> model, times, and settings of the reference: ends of the domain, smallest and largest element, time steps,
learning rate.
"""


def reference_case(model: LinearModel, ends=(-9.0, 9.0), smallest=1e-4, largest=0.25, eta=None) -> finite_elements.Case:
    """The limit of a model of this table, written out from its definition."""
    eigenvalues = model.spectrum.values
    alphas = np.array([_input_moments(model.input_quantizer, value) for value in eigenvalues])
    random = isinstance(model.weight_quantizer, StochasticRounding)
    grid = model.weight_quantizer.grid if random else model.weight_quantizer
    levels, thresholds = grid.levels, grid.thresholds
    # integrands of w* have kinks where the target is a level, or with random rounding the end of the range
    kinks = np.linspace(levels[0], levels[-1], 4) if random else levels
    teacher, weights = _teacher_rule(model.teacher, kinks, model.weight_decay)
    rows, count = teacher.size, eigenvalues.size
    uniform = isinstance(model.init, UniformLaw)
    start = model.init.distribution

    def image(w):
        return np.clip(w, levels[0], levels[-1]) if random else levels[np.searchsorted(thresholds, w, side="right")]

    def square(w):
        # unbiased rounding between two levels: the mean square interpolates their squares
        return np.interp(w, levels, levels**2) if random else image(w) ** 2

    return finite_elements.Case(
        image=image,
        square=square,
        kinks=levels if random else thresholds,
        density=start.pdf,
        ends=ends,
        teacher=np.tile(teacher, count),
        weights=np.tile(weights, count) / count,
        alpha_1=np.repeat(alphas[:, 0], rows),
        alpha_2=np.repeat(alphas[:, 1], rows),
        rho=float(eigenvalues.mean()) * model.teacher.second_moment,
        eta=eta or (lambda tau: model.learning_rate),
        sigma=model.noise,
        decay=model.weight_decay,
        batch=model.batch_size,
        band=model.surrogate.band if isinstance(model.surrogate, ClippedSurrogate) else None,
        smallest=smallest,
        largest=largest,
        uneven=np.array([model.init.low, model.init.high]) if uniform else np.zeros(0),
    )


def _input_moments(quantizer, variance):
    if isinstance(quantizer, Identity):
        return variance, variance
    scaled = quantizer.thresholds / np.sqrt(variance)
    correlation = np.sqrt(variance) * np.diff(quantizer.levels) @ scipy.stats.norm.pdf(scaled)
    cells = np.diff(scipy.stats.norm.cdf(np.concatenate([[-np.inf], scaled, [np.inf]])))
    return correlation, cells @ quantizer.levels**2


def _teacher_rule(law, kinks, decay):
    """The atoms, or Gauss points that crowd at the ends of the panels between the kinks."""
    if not isinstance(law, ContinuousLaw):
        return law.atoms
    assert decay == 0
    low, high = law.mean - 7 * np.sqrt(law.variance), law.mean + 7 * np.sqrt(law.variance)
    inner = kinks[(kinks > low) & (kinks < high)] if kinks.size <= 16 else np.linspace(low, high, 12)[1:-1]
    edges = np.concatenate([[low], inner, [high]])
    points, rule = np.polynomial.legendre.leggauss(10)
    points, rule = (points + 1) / 2, rule / 2
    points, rule = points**2 * (3 - 2 * points), rule * 6 * points * (1 - points)
    values = edges[:-1, None] + np.diff(edges)[:, None] * points
    weights = np.diff(edges)[:, None] * rule * law.distribution.pdf(values)
    return values.ravel(), weights.ravel() / weights.sum()


def compute(name: str) -> dict:
    """Reference values of one case, with their change when elements and steps are halved."""
    model, times, settings = CASES[name]
    settings = dict(settings)
    steps = settings.pop("steps", 200)
    case = reference_case(model, **settings)
    coarse = finite_elements.solve(case, np.array(times), 1, steps)
    fine = finite_elements.solve(case, np.array(times), 2, 2 * steps)
    return {"eps_g": fine.tolist(), "change": np.abs(fine - coarse).tolist()}


def main(names: list[str]) -> None:
    """Compute the named references, all if none is named, and write the file."""
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    for name in names or CASES:
        known[name] = compute(name)
        print(name, known[name], flush=True)
        FILE.write_text(json.dumps({key: known[key] for key in CASES if key in known}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
