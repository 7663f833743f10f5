"""The verb `fixed_points`: where the limit ends up, and what the error there is made of."""

import jax

from steode.errors import ConvergenceError, UnsupportedError
from steode.fixed_point import FixedPoints
from steode.fixed_point_function import check_stationary
from steode.fogzo_fixed_points import fogzo_fixed_points, of_unquantized, ste_twin
from steode.general_fixed_points import ste_fixed_points
from steode.quantizers import Identity
from steode.solve import check_model
from steode.systems.linear.spec import LinearModel
from steode.systems.linear.update_rules import FOGZO, SPSA


def fixed_points(model: LinearModel, *, throw: bool = True) -> FixedPoints:
    """All fixed points of the limit: roots of V = rho (1 - alpha_1^2/alpha_2) + sigma^2 + alpha_2 E (Q - a)^2.

    The average is over the stationary law given w*: exponential cells under a step function, truncated Gaussian cells
    with weight decay, quadrature for smooth maps, closed form for weights that are not quantized. Continuous teacher
    laws are integrated piecewise between the kinks. Intervals of V are excluded until only the roots are left, by the
    monotonicity of the right-hand side or, with weight decay, by a bound of its slope (proofs in
    `steode.solvers.root_search`); where neither holds the search is for changes of sign, and the result says so.

    V = 0, where it is stationary, is found separately and in the same way for every model, and its `gain` says whether
    it is stable; see `steode.solvers.recovery`.

    With a spectrum, stochastic maps, or maps of labels, output and residual the same law is closed through the averages
    of the output: one equation for c_2 while the residual answers linearly, else three for c_h, c_* and c_2, solved by
    Newton's method from several starts.

    With FOGZO the stationary laws are those of the STE at the learning rate eta p (1 + c/n), and the mean slope p
    follows from the law: `mean_slope` and `ste_model` of each point. V = 0 is stationary at every p (`mean_slope` is
    NaN); other laws with p = 0 are frozen and not listed.

    Parameters
    ----------
    model : the specification.
    throw : if False, a root that does not satisfy the equation to 1e-11 is returned with `converged` false.

    Raises
    ------
    SpecificationError
        If `model` is not a LinearModel.
    UnsupportedError
        For the clipped surrogate, whose stationary state depends on the initial law, for maps of the weights that
        decrease somewhere, for FOGZO with weight decay, and for SPSA.
    ConvergenceError
        If a root does not satisfy the equation to 1e-11 and `throw` is true.
    """
    check_model(model)
    check_stationary(model)
    if isinstance(model.update_rule, SPSA):
        raise UnsupportedError("fixed points: not derived for SPSA; solve(model, t_end) to a long time instead.")
    with jax.enable_x64(True):
        found = _found(model)
    for point in found:
        if throw and not point.converged:
            raise ConvergenceError(f"fixed_points: V = {point.V:.6g} leaves a residual of {point.residual:.1e}")
    return found


def _found(model: LinearModel) -> FixedPoints:
    if not isinstance(model.update_rule, FOGZO):
        return ste_fixed_points(model)
    if isinstance(model.weight_quantizer, Identity):
        return of_unquantized(ste_fixed_points(ste_twin(model, 1.0)), model)
    return fogzo_fixed_points(model)
