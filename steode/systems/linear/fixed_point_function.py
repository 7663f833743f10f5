"""The verb `fixed_point_function`: the fixed point as a pure JAX function of a model's continuous parameters."""

import concurrent.futures
import dataclasses
import os

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from steode.errors import SpecificationError, check_integer
from steode.parts.quantizers import Identity, StepFunction
from steode.parts.stochastic import grid_of
from steode.solvers import smooth_law
from steode.solvers.entrywise import SmoothMap
from steode.solvers.equations import Problem
from steode.solvers.fixed_point import fixed_point_terms
from steode.solvers.random_maps import RoundingMap
from steode.solvers.scalar_equations import scalar_equation
from steode.solvers.stationary_rows import TeacherRows
from steode.solvers.teacher import ContinuousTeacher
from steode.symbolic import symbols as sym
from steode.systems.linear.derive import derive
from steode.systems.linear.problem import NO_ROWS, at_rest, make_problem, rows_of
from steode.systems.linear.properties import require
from steode.systems.linear.solve import check_model
from steode.systems.linear.spec import MAPS, LinearModel

BLOCK = 512
"""Parameter sets in one call of the compiled program."""
MOST_TOGETHER = 32
ENTRIES = 2**18
"""Teacher values times levels (or points of a quadrature) times parameter sets advanced together, at most: what stays
in the cache of a core.
"""


@dataclasses.dataclass(frozen=True, eq=False)
class FixedPointFunction:
    """The smallest stable fixed point as a function of parameters; works under jit, vmap, jvp and grad.

    Attributes
    ----------
    model : as given to `fixed_point_function`.
    parameters : the model's own values, name -> float or array: learning_rate, noise, batch_size (any positive
        number), teacher_scale (1; it multiplies the teacher law) and, where the model has them, weight_range,
        input_range, weight_decay, levels (n,) and thresholds (n - 1,) of the weight quantizer (of stochastic rounding
        the levels alone).
    rows : the teacher law, discretized, with the eigenvalues of the inputs.
    """

    model: LinearModel
    parameters: dict[str, float | np.ndarray]
    rows: TeacherRows

    def __call__(self, parameters: dict[str, Float[Array, "..."]]) -> dict[str, Array]:
        """V, eps_g, its terms (input, dithering, clipping, decay, noise) and `converged`, all scalars.

        With `FOGZO` also the mean slope, NaN at V = 0.
        Parameters left out keep the model's values; given levels or thresholds take the place of the range's. Where
        there is no fixed point, or none was found, `converged` is false and the numbers are NaN. Raises
        `SpecificationError` for an unknown name, or if 64-bit floats are off.
        """
        if not jax.config.read("jax_enable_x64"):
            remedy = 'Call jax.config.update("jax_enable_x64", True) first.'
            raise SpecificationError("jax_enable_x64", "64-bit floats", "32-bit floats", remedy)
        self._check(parameters)
        return fixed_point_terms(scalar_equation(self.problem(parameters)))

    def many(self, parameters: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The same for arrays of parameters with a common leading axis (N, ...).

        Blocks of parameter sets go through one compiled program, on a CPU one block on each core. It is compiled once
        for each shape of the quantizer and the teacher law, and found again for every other model of that shape.

        Raises `SpecificationError` for an unknown name, or unless at least one array is given and all are equally long.
        """
        self._check(parameters)
        arrays = {name: np.asarray(value, dtype=float) for name, value in parameters.items()}
        counts = {array.shape[:1] for array in arrays.values()}
        if len(counts) != 1 or counts & {(), (0,)}:
            shapes = {name: array.shape for name, array in arrays.items()}
            remedy = 'For example {"learning_rate": [0.1, 0.2], "noise": [0.0, 0.0]}.'
            raise SpecificationError("parameters", "arrays with the same leading axis", shapes, remedy)
        (count,) = counts.pop()
        size = min(BLOCK, 2 ** (count - 1).bit_length())
        batch = self._batch()

        def block(start: int) -> dict[str, np.ndarray]:
            chosen = np.minimum(np.arange(start, start + size), count - 1)  # the last block is filled up
            with jax.enable_x64(True):
                parameters = {name: jnp.asarray(array[chosen]) for name, array in arrays.items()}
                scales = parameters.get("teacher_scale", jnp.ones(size))
                problems = jax.vmap(self.without_teacher)(parameters)
                return jax.device_get(_many(problems, self._rows(parameters), scales, batch))

        # the first block alone: threads that find no program would all compile it
        blocks = [block(0)]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            blocks += pool.map(block, range(size, count, size))
        return {name: np.concatenate([part[name] for part in blocks])[:count] for name in blocks[0]}

    def _batch(self) -> int:
        with jax.enable_x64(True):
            problem = jax.eval_shape(self.problem, {})
        quadrature = isinstance(problem.weight_map, SmoothMap | RoundingMap)
        points = max(leaf.size for leaf in [*jax.tree.leaves(problem.weight_map), problem.eta])
        points = smooth_law.POINTS if quadrature else points
        return max(1, min(MOST_TOGETHER, ENTRIES // (problem.teacher.size * points)))

    def problem(self, parameters: dict) -> Problem:
        """The equations with these numbers in them, and the teacher law cut at their kinks."""
        problem = jax.device_put(self.without_teacher(parameters))
        return self._rows(parameters).place(problem, parameters.get("teacher_scale", 1.0))

    def without_teacher(self, parameters: dict) -> Problem:
        """The equations with these numbers in them, and no teacher law yet."""
        return make_problem(at_rest(self.model), NO_ROWS, parameters)

    def _check(self, parameters) -> None:
        """Raise `SpecificationError` unless names and trailing shapes are those of `self.parameters`."""
        if not isinstance(parameters, dict):
            raise SpecificationError("parameters", "a dictionary", parameters, 'For example {"learning_rate": 0.1}.')
        for name, value in parameters.items():
            if name not in self.parameters:
                raise SpecificationError("parameters", "names among " + ", ".join(self.parameters), name, "")
            shape = np.shape(self.parameters[name])
            if shape and np.shape(value)[-1:] != shape:
                expected, received = f"an array of shape {shape}", f"shape {np.shape(value)}"
                raise SpecificationError(f"parameters[{name!r}]", expected, received, "One number for each of them.")

    def _rows(self, parameters: dict) -> TeacherRows:
        if isinstance(self.rows.teacher, ContinuousTeacher) and not {"levels", "thresholds"}.isdisjoint(parameters):
            # a single level breaks the symmetry
            return dataclasses.replace(self.rows, teacher=dataclasses.replace(self.rows.teacher, even=False))
        return self.rows


@eqx.filter_jit
def _many(problems: Problem, rows: TeacherRows, scales, batch: int) -> dict[str, Array]:
    def one(arguments):
        return fixed_point_terms(scalar_equation(rows.place(*arguments)))

    return jax.lax.map(one, (problems, scales), batch_size=batch)


def fixed_point_function(model: LinearModel, *, teacher_nodes: int | None = None) -> FixedPointFunction:
    """The smallest stable fixed point of `model` as a differentiable JAX function of its continuous parameters.

    Derivatives follow from the implicit function theorem at the root. Unlike `fixed_points` this finds one fixed point,
    the stable one of smallest V (V = 0 where exact recovery is stable), without a proof that it is the only one: the
    equation's sign is taken at nine values of V.

    Parameters
    ----------
    model : the specification.
    teacher_nodes : Gauss points in each panel of a continuous teacher law, of which there are about as many as
        quantization levels plus twelve. None: 16 up to 16 levels, 12 up to 64, 8 beyond, which gives V to about 1e-6,
        relative (compare two numbers).

    Examples
    --------
    >>> function = fixed_point_function(model)
    >>> gradient = jax.grad(lambda p: function(p)["eps_g"])({"weight_range": 2.0})

    Raises
    ------
    SpecificationError
        If an argument makes no sense.
    UnsupportedError
        As `fixed_points`, and for outputs to which the residual does not answer linearly: c_h and c_* are unknowns too.
    """
    check_model(model)
    grid = grid_of(model.weight_quantizer)
    levels = 0 if grid is None else len(grid.unit_levels)
    if teacher_nodes is None:
        teacher_nodes = 16 if levels <= 16 else 12 if levels <= 64 else 8
    check_integer("teacher_nodes", teacher_nodes, 2)
    require(model, "fixed_point_function")
    values = derive(model).parameters
    parameters = {name: values[symbol] for name, symbol in sym.PARAMETERS.items() if symbol in values}
    parameters |= {"batch_size": float(model.batch_size), "teacher_scale": 1.0}
    parameters |= {} if grid is None else {"levels": grid.levels}
    if isinstance(model.weight_quantizer, StepFunction):
        parameters["thresholds"] = grid.thresholds
    with jax.enable_x64(True):
        rows = rows_of(model, make_problem(model, NO_ROWS), teacher_nodes)
    return FixedPointFunction(model, parameters, rows)


def without_quantizers(model: LinearModel) -> LinearModel:
    """The model without maps of weights, inputs, output, labels and residual; that of the teacher's output stays."""
    maps = (name for name in MAPS if name != "teacher_activation")
    groups = tuple(dataclasses.replace(group, weight_quantizer=None) for group in model.groups)
    return model.replace(**dict.fromkeys(maps, Identity()), dampening=0.0, groups=groups)
