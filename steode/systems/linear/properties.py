"""What the verbs need of a linear model, and the option that takes it away: one table, one refusal.

A verb names itself and is refused by a property of the equation, never by the path a model takes through the code. The
table is also the page of the documentation that says what composes with what.
"""

import dataclasses
from collections.abc import Callable

from steode.errors import UnsupportedError
from steode.systems.linear import obstacles
from steode.systems.linear.spec import LinearModel


@dataclasses.dataclass(frozen=True)
class Property:
    """Something a model may have.

    Attributes
    ----------
    need : what it is, after "needs".
    lost : the field of a model that takes it away and why, or None where the model has the property.
    instead : what to do without it.
    """

    need: str
    lost: Callable[[LinearModel], tuple[str, str] | None]
    instead: str


FOLLOW = "follow it in time with solve(model, t_end)"
CONSTANT_RATE = Property(
    "a constant learning rate and dampening",
    obstacles.schedule,
    f"give the model a number, as in model.replace(learning_rate=0.1), or {FOLLOW}",
)
NO_ATOMS = Property("a law without atoms", obstacles.atoms, "use method='density'")
FORGETS_START = Property("a stationary law that forgets the start", obstacles.start_remembered, FOLLOW)
COMMON_DIFFUSION = Property(
    "a diffusion that is the same at every weight", obstacles.own_diffusion, "use solve with method='particles'"
)
CLOSED_MOMENTS = Property("moments that close", obstacles.open_moments, "use method='density'")
FINITE_SUPPORT = Property(
    "a motion that finitely many weights define",
    obstacles.density_at_thresholds,
    "start from the laws, and use method='density'",
)
ONE_WELL = Property("a nondecreasing map of the weights with limits at infinity", obstacles.several_wells, FOLLOW)
SLOPE_FROM_DITHERING = Property("a mean slope known from the stationary law", obstacles.slope_beyond_dithering, FOLLOW)
LINEAR_RESPONSE = Property(
    "one unknown, c_2, so that a root can be singled out", obstacles.nonlinear_response, "see fixed_points(model)"
)
GRID = Property("a grid to round to", obstacles.no_grid, "fixed_points gives the error of the last iterate")
CELLS = Property("weights quantized by a step function", obstacles.no_cells, "read plateau(solve(model, t_end))")
RATE_OF_A_CELL = Property(
    "the rate of a weight in its cell", obstacles.zeroth_order, "read plateau(solve(model, t_end))"
)
SAMPLE_NOISE = Property(
    "a normal residual, whose noise in one step is derived",
    obstacles.noise_not_derived,
    "measure the scatter of simulate(model, seeds=...)",
)

COMMON_MOBILITY = Property(
    "a surrogate derivative that is constant where it is not zero",
    obstacles.own_mobility,
    "use solve with method='density' or 'particles'",
)
STANDING_RANGE = Property(
    "a range that stands still", obstacles.moving_range, "use solve with method='density' or 'particles'"
)
LAW_ALONE = Property(
    "a law with no number that moves beside it", obstacles.followed_moments, "use second_moment_rate=None"
)
NO_INERTIA = Property(
    "weights without inertia", obstacles.inertia, "use solve with method='particles' or method='gaussian'"
)
KNOWN_RANGE = Property("a range known at the start", obstacles.range_of_the_start, "start from the laws")
FINITE_RANGE = Property(
    "a range that finitely many weights move", obstacles.density_beside_range, "use method='density'"
)

RUN = "run it with simulate"
NORMAL_RESIDUAL = Property("a normal residual under the sign of a gradient", obstacles.sign_of_what, RUN)
ONE_RESPONSE = Property("one response for all coordinates", obstacles.own_responses, RUN)
GROUPS_ALIKE = Property("groups that share their rule and have step functions", obstacles.beside_groups, RUN)
_DERIVED = (NORMAL_RESIDUAL, ONE_RESPONSE, GROUPS_ALIKE)

MOMENT_NOISE = Property("isotropic inputs and maps that are not random", obstacles.several_sets, "use method='density'")

INDEPENDENT_TEACHER = Property("a teacher law that is the same at every eigenvalue", obstacles.paired, RUN)

ONE_UNKNOWN_OF_GROUPS = Property("one unknown, c_2, of all groups", obstacles.nonlinear_response_of_groups, FOLLOW)
ONE_KIND = Property(
    "coordinates of one kind", obstacles.several_kinds, "use solve with method='density', fixed_points or simulate"
)

TURNED_FIELD = Property(
    "a linear residual and a gradient whose field a rotation leaves as it is",
    obstacles.no_turned_field,
    "run it with simulate(model, dim, t_end, basis='rotated')",
)

_STATIONARY = (
    STANDING_RANGE,
    COMMON_MOBILITY,
    CONSTANT_RATE,
    FORGETS_START,
    COMMON_DIFFUSION,
    ONE_WELL,
    SLOPE_FROM_DITHERING,
)
_BEYOND_THE_LIMIT: dict[str, tuple[Property, ...]] = {
    "derive": (),
    "solve, density": (NO_INERTIA, COMMON_DIFFUSION),
    "solve, density kept": (NO_INERTIA, ONE_KIND, COMMON_DIFFUSION, STANDING_RANGE),
    "solve, gaussian": (COMMON_MOBILITY, COMMON_DIFFUSION, NO_ATOMS, STANDING_RANGE),
    "solve, moments": (NO_INERTIA, ONE_KIND, COMMON_MOBILITY, COMMON_DIFFUSION, NO_ATOMS, CLOSED_MOMENTS, LAW_ALONE),
    "solve, particles": (FINITE_SUPPORT, FINITE_RANGE),
    "solve, dmft": (ONE_KIND, COMMON_MOBILITY, INDEPENDENT_TEACHER, STANDING_RANGE, TURNED_FIELD),
    "solve, drawn start": (ONE_KIND, FINITE_SUPPORT, KNOWN_RANGE),
    "limit_function": (NO_INERTIA, ONE_KIND, COMMON_DIFFUSION, STANDING_RANGE, LAW_ALONE),
    "limit_function, gaussian": (ONE_KIND, COMMON_MOBILITY, COMMON_DIFFUSION, NO_ATOMS, STANDING_RANGE),
    "fixed_points": (*_STATIONARY, ONE_UNKNOWN_OF_GROUPS),
    "fixed_point_function": (ONE_KIND, *_STATIONARY, LINEAR_RESPONSE),
    "stability": (NO_INERTIA, ONE_KIND, *_STATIONARY, LAW_ALONE),
    "deployments": (ONE_KIND, *_STATIONARY, GRID, LINEAR_RESPONSE, INDEPENDENT_TEACHER),
    "optimal_range": (ONE_KIND, *_STATIONARY, LINEAR_RESPONSE),
    "optimal_range, at a time": (NO_INERTIA, ONE_KIND, COMMON_DIFFUSION, STANDING_RANGE, LAW_ALONE),
    "plateau_estimate": (NO_INERTIA, ONE_KIND, COMMON_MOBILITY, STANDING_RANGE, CONSTANT_RATE, CELLS, RATE_OF_A_CELL),
    "fluctuations": (NO_INERTIA, ONE_KIND, COMMON_MOBILITY, STANDING_RANGE, SAMPLE_NOISE, INDEPENDENT_TEACHER),
    "fluctuations, moments": (
        NO_INERTIA,
        ONE_KIND,
        COMMON_MOBILITY,
        STANDING_RANGE,
        SAMPLE_NOISE,
        INDEPENDENT_TEACHER,
        NO_ATOMS,
        CLOSED_MOMENTS,
        MOMENT_NOISE,
    ),
    "sweep of fixed points": (ONE_KIND, *_STATIONARY, LINEAR_RESPONSE),
    "sweep of curves": (NO_INERTIA, COMMON_DIFFUSION),
    "sweep of curves, gaussian": (COMMON_MOBILITY, COMMON_DIFFUSION, NO_ATOMS, STANDING_RANGE),
}
"""What is asked for, verb first -> the properties it needs beside those of the limit itself."""
NEEDS: dict[str, tuple[Property, ...]] = {"simulate": (), "simulate_paired": ()} | {
    what: (*_DERIVED, *needed) for what, needed in _BEYOND_THE_LIMIT.items()
}
"""What is asked for, verb first -> the properties it needs."""


def missing(model: LinearModel, what: str) -> tuple[Property, str, str] | None:
    """The first property that `what` needs and the model lacks, with the field that takes it away, and why."""
    kinds = (model, *model.members) if model.groups else (model,)
    for needed in NEEDS[what]:
        lost = next(filter(None, map(needed.lost, kinds)), None)
        if lost is not None:
            return needed, *lost
    return None


MORE = "What the theory leaves out, and where to go: docs/not_covered.md."
"""Last words of a refusal."""


def require(model: LinearModel, what: str) -> None:
    """Raise `UnsupportedError` unless the model has what a key of `NEEDS` needs."""
    found = missing(model, what)
    if found is not None:
        needed, _, why = found
        raise UnsupportedError(f"{what}: needs {needed.need}, and {why}; {needed.instead}. {MORE}")
