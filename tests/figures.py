"""Small made-up inputs of the drawing functions, the same in every run, and one call of each function."""

import dataclasses

import numpy as np
import xarray

from steode import LogLinear, OptimalSchedule, Schedule, TunedSchedule, plot
from steode.parts.laws import Constant
from steode.parts.quantizers import Uniform
from steode.systems.linear.compare import Comparison
from steode.systems.linear.configuration import to_dict
from steode.systems.linear.deployments import Deployments
from steode.systems.linear.fixed_point import FixedPoint, FixedPoints
from steode.systems.linear.fluctuation import Fluctuations
from steode.systems.linear.plateau import plateau
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.trajectory import Density, Provenance, Snapshots, Trajectory

MODEL = LinearModel(
    teacher=Constant(1.0), weight_quantizer=Uniform(2, 2.0), input_quantizer=Uniform(2, 2.0), learning_rate=0.1
)
TIMES = np.linspace(0, 10, 101)
CURVE = np.interp(TIMES, [0, 4, 5, 10], [1.0, 1.0, 0.2, 0.2])
NODES = np.linspace(-3, 3, 601)
VOLUMES = np.full(601, 0.01)
MASSES = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()
MOVES = (-0.8, 0.0, 0.8)
"""How far the law has moved at times 0, 2 and 4."""


def limit(model=MODEL, masses=MASSES) -> Trajectory:
    law = Density(np.array([2.0]), NODES, VOLUMES, np.array([1.0]), np.array([1.0]), masses[None, None])
    provenance = Provenance("limit", "density", to_dict(model), {}, "0", "cpu")
    return Trajectory(TIMES, {"eps_g": CURVE, "m": 1 - CURVE} | fractions(), {}, law, None, provenance)


def moving_limit() -> Trajectory:
    moved = np.stack([np.exp(-((NODES - shift) ** 2) / 0.18) for shift in MOVES])
    masses = (moved / moved.sum(axis=1, keepdims=True))[:, None]
    law = Density(np.array([0.0, 2.0, 4.0]), NODES, VOLUMES, np.array([1.0]), np.array([1.0]), masses)
    return dataclasses.replace(limit(), density=law)


def simulation(seeds: int = 4) -> Trajectory:
    generator = np.random.default_rng(0)
    values = CURVE + 0.05 * generator.normal(size=(seeds, 101))
    kept = Snapshots(np.array([0.0, 2.0]), generator.normal(size=(seeds, 2, 500)), np.ones((seeds, 500)))
    provenance = Provenance("simulation", "sgd", to_dict(MODEL), {"dim": 500}, "0", "cpu")
    counts = {"level_fraction": np.broadcast_to(fractions()["level_fraction"], (seeds, 101, 4))}
    return Trajectory(TIMES, {"eps_g": values} | counts, {}, None, kept, provenance)


def moving_simulation(seeds: int = 4) -> Trajectory:
    weights = np.random.default_rng(1).normal(np.array(MOVES)[:, None], 0.3, size=(seeds, 3, 500))
    kept = Snapshots(np.array([0.0, 2.0, 4.0]), weights, np.ones((seeds, 500)))
    return dataclasses.replace(simulation(seeds), snapshots=kept)


def fractions() -> dict[str, np.ndarray]:
    crossed = 1 / (1 + np.exp(-2 * (TIMES - 4.5)))
    return {"level_fraction": np.stack([np.zeros(101), 1 - crossed, crossed, np.zeros(101)], axis=-1)}


def predicted() -> Fluctuations:
    part = {"eps_g": 3.0 * CURVE}
    return Fluctuations(MODEL, "density", 1e-4, TIMES, {"eps_g": CURVE}, part, part, part, {"eps_g": 0 * CURVE})


def comparison(z) -> Comparison:
    known = {"observable": "eps_g", "start": "nominal", "seeds": 4, "times": np.linspace(0, 1, z.size), "z": z}
    zeros = {field.name: np.zeros(z.size) for field in dataclasses.fields(Comparison)}
    return Comparison(**zeros | known)


def stationary(*errors: float) -> FixedPoints:
    """Fixed points with these errors, a fifth of each from the inputs, a tenth from clipping."""
    points = tuple(
        FixedPoint(MODEL, 2 * e, e, 0.2 * e, 0.7 * e, 0.1 * e, 0.0, 0.0, True, 0.0, "regular", 0.0, e - 0.05)
        for e in errors
    )
    return FixedPoints(points, 0.05, True, "made up")


def deployed(error: float = 0.2) -> Deployments:
    shares = dict.fromkeys(("rounded_average", "rounded_teacher", "rounded_target"), error / 2)
    return Deployments(
        MODEL, stationary(error)[0], error, averaged_iterates=error / 4, unquantized=0.05, floor=error / 5,
        averaged_latent=error, averaging_excess=0.1, averaging_correction=0.0, note="", **shares,
    )  # fmt: skip


def scheduled() -> OptimalSchedule:
    falling, constant = Schedule(LogLinear((0.0, 10.0), (0.5, 0.01))), MODEL.replace(learning_rate=0.1)
    later = TunedSchedule("later", 0.05, 0.0, 6.0, falling, MODEL.replace(learning_rate=Schedule("0.2 + 0*tau")))
    optimal = TunedSchedule("optimal", 0.1, 0.0, 0.0, None, MODEL.replace(learning_rate=falling))
    return OptimalSchedule(constant, 10.0, ("learning_rate",), {"optimal": optimal, "later": later})


RANGES, RATES = np.linspace(0.5, 3.0, 11), np.linspace(0.1, 1.0, 10)


def swept() -> xarray.Dataset:
    """An error with its smallest value inside, as `sweep` labels it."""
    error = 0.02 + 0.1 * (RANGES[:, None] - 1 - RATES) ** 2 + 0.05 * RATES
    words = {"long_name": "generalization error at the fixed point", "symbol": r"$\varepsilon_g$", "better": "smaller"}
    coords = {
        "weight_quantizer.range": ("weight_quantizer.range", RANGES, {"long_name": "range", "symbol": r"$\omega$"}),
        "learning_rate": ("learning_rate", RATES, {"long_name": "learning rate", "symbol": r"$\eta$"}),
    }
    return xarray.Dataset({"eps_g": (tuple(coords), error, words)}, coords)


ROWS = {f"range {RANGES[place]:g}": swept().isel({"weight_quantizer.range": place}) for place in (2, 6)}
POINTS = {"range 1": ([0.3, 0.7], [0.05, 0.12], [0.01, 0.01])}

CALLS = {
    "trajectory": lambda ax: plot.trajectory(limit(), simulation(), ax=ax),
    "density": lambda ax: plot.density(limit(), 2.0, simulation(), ax=ax),
    "densities": lambda ax: plot.densities(moving_limit(), moving_simulation(), ax=ax),
    "level_fractions": lambda ax: plot.level_fractions(limit(), simulation(), ax=ax),
    "plateaus": lambda ax: plot.plateaus(plateau(limit()), 4.4, ax=plot.trajectory(limit(), ax=ax)),
    "gaps": lambda ax: plot.gaps(comparison(np.array([0.1, -1.0])), ax=ax),
    "deployments": lambda ax: plot.deployments([2, 3], [deployed(), deployed(0.1)], averaged=10.0, ax=ax),
    "decomposition": lambda ax: plot.decomposition({"a": stationary(0.2), "b": stationary(0.12)}, ax=ax),
    "fixed_points": lambda ax: plot.fixed_points(stationary(0.2, 0.5), unquantized=True, ax=ax),
    "plateau_against_range": lambda ax: plot.plateau_against_range(
        [1, 2, 3], [3, 6, 9.5], [3.1, 6.2, 9], spread=[0.3, 0.4, 0.5], estimate=[3, 6, 9], ax=ax
    ),
    "phase_diagram": lambda ax: plot.phase_diagram(swept(), "weight_quantizer.range", "learning_rate", ax=ax),
    "profile": lambda ax: plot.profile(ROWS["range 2"], "learning_rate", ax=ax),
    "profiles": lambda ax: plot.profiles(
        ROWS, "learning_rate", runs=POINTS, limits={"range 2": 0.9}, bounds={"range 1": 0.3}, ax=ax
    ),
    "quantizer": lambda ax: plot.quantizer(Uniform(2, 2.0), label="two bits", ax=ax),
    "schedules": lambda ax: plot.schedules(scheduled(), ax=ax),
}
"""One call of every drawing function by its name."""
