"""From the symbolic recursion to arrays and functions: the model's numbers meet the derived formulas here."""

import dataclasses
import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from steode.bridge import compile_expression
from steode.systems.regression import symbols as sym
from steode.systems.regression.derivation import derive_regression
from steode.systems.regression.recursion import Coefficients
from steode.systems.regression.risk_recursion import RiskRecursion
from steode.systems.regression.spec import ROLES, RegressionModel

ARGUMENTS = (
    sym.lam["i"],
    sym.ell["i"],
    sym.best["i"],
    sym.gamma,
    sym.batch,
    sym.sigma,
    *(sym.EPSILON[role] for role in ROLES),
)
"""What every compiled formula of one coordinate takes."""


@dataclasses.dataclass(frozen=True)
class CompiledRecursion:
    """A model's recursion with its numbers, float64.

    `evaluate(expression)` gives any formula of the recursion in every coordinate, (d,); `evaluate(expression, gamma)`
    at another step size. `input_square` is l, `best` is w^q, `raw` and `quantized` are (m, u, 1) coefficients of risks.
    """

    coefficients: Coefficients
    recursion: RiskRecursion
    input_square: np.ndarray
    best: np.ndarray
    raw: tuple[np.ndarray, ...]
    quantized: tuple[np.ndarray, ...]
    evaluate: Callable


def compile_recursion(model: RegressionModel) -> CompiledRecursion:
    """Derive, compile and evaluate the recursion of a model; call it under `jax.enable_x64(True)`.

    Raises `UnsupportedError` for quantizers without an exact recursion.
    """
    recursion = derive_regression(model)
    lam, noise = np.array(model.eigenvalues), _noise_variances(model)
    data = noise[ROLES.index("data")]
    square = np.asarray(_filled(recursion.input_square, (sym.lam["i"], sym.EPSILON["data"]), lam, data))
    symbols = (sym.lam["i"], sym.teacher["i"], sym.EPSILON["data"])
    best = np.asarray(_filled(recursion.best, symbols, lam, model.teacher_weights, data))

    def evaluate(expression, gamma: float | None = None) -> np.ndarray:
        rate = model.step_size if gamma is None else gamma
        values = (lam, square, best, rate, float(model.batch_size), model.noise, *noise)
        return np.asarray(_filled(expression, ARGUMENTS, *values))

    coupling, constant = evaluate(recursion.coupling), evaluate(recursion.constant)
    coefficients = Coefficients(
        decay=evaluate(recursion.decay),
        square=evaluate(recursion.square),
        linear=evaluate(recursion.linear) if recursion.linear != 0 else None,
        coupling=coupling,
        constant=constant + coupling * evaluate(recursion.sum_constant).sum(),
        sum_square=evaluate(recursion.sum_square),
        sum_linear=evaluate(recursion.sum_linear) if recursion.sum_linear != 0 else None,
        next_average=_next_average(recursion.average),
    )
    return CompiledRecursion(
        coefficients=coefficients,
        recursion=recursion,
        input_square=square,
        best=best,
        raw=tuple(evaluate(part) for part in recursion.raw),
        quantized=tuple(evaluate(part) for part in recursion.quantized),
        evaluate=evaluate,
    )


def _noise_variances(model: RegressionModel) -> list[float]:
    # without a quantizer its variance is in no formula
    return [getattr(quantizer, "noise_variance", 0.0) for quantizer in model.quantizers.values()]


def _filled(expression, symbols, lam, *values):
    """A formula in every coordinate: constants too become arrays."""
    value = compile_expression(expression, tuple(symbols))(lam, *values)
    return jnp.broadcast_to(jnp.asarray(value, jnp.float64), lam.shape)


@functools.lru_cache(maxsize=8)
def _next_average(expressions) -> Callable:
    state = (sym.square["i"], sym.mean["i"], sym.overlap, sym.total_square, sym.total_mean)
    functions = [compile_expression(expression, (sym.decay, *state)) for expression in expressions]
    return lambda *values: tuple(function(*values) for function in functions)
