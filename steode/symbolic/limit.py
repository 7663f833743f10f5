"""The deterministic limit of one system, in SymPy: what `derive` returns and what the bridge compiles."""

import dataclasses
from collections.abc import Callable

import sympy

from steode._version import __version__
from steode.parts.quantizers import EntrywiseMap
from steode.symbolic import averages
from steode.symbolic import symbols as sym
from steode.symbolic.derivation import Derivation, Derived
from steode.symbolic.python_source import python_source


@dataclasses.dataclass(frozen=True)
class MomentEquations:
    """A closed system of ordinary differential equations for moments of the weights.

    Attributes
    ----------
    states : symbols of the moments, in order.
    rates : their time derivatives, one expression each.
    exact : True if the system is closed without approximation.
    """

    states: tuple[sympy.Symbol, ...]
    rates: tuple[sympy.Expr, ...]
    exact: bool


@dataclasses.dataclass(frozen=True)
class Companion:
    """A number beside the law of the weights, which drives them and is driven by them.

    Attributes
    ----------
    symbol : stands for it in the averages of the output.
    rate : its time derivative, in itself, tau, c_h, c_star, c_2 and the constants of the output.
    start : its value at time 0, in units of c_2 at the value 1 of the symbol.
    """

    symbol: sympy.Symbol
    rate: sympy.Expr
    start: sympy.Expr


@dataclasses.dataclass(frozen=True, eq=False)
class Limit(Derived):
    """Equations of the limit in named symbols (`steode.symbolic.symbols`) and the derivation that produced them.

    Attributes
    ----------
    model : the specification.
    derivation : ordered steps with reasons.
    drift, diffusion : coefficients of dw = drift dtau + sqrt(diffusion) dB, in w, Q = Q(w), s, w*, V, alpha_1, alpha_2.
    order_parameters : symbol -> its integrand over (w*, w).
    residual_variance : V as an expression in the order parameters.
    observables : name -> expression in the order parameters and V.
    input_moments : alpha_1 and alpha_2 as named Gaussian averages of the input map.
    gaussian_closure : rates of (M, S) for one teacher value; None where the surrogate rules it out.
    exact_moments : the closed moment equations where the maps are affine, else None.
    stationary_log_slope : d log p/dw of the stationary density where the surrogate is 1, in a = alpha_1 w*/alpha_2, Q
        and, with weight decay, w.
    long_times : what gives `plateau_time` and `fixed_point_value`, when one of them is asked for.
    plateau_time : time for a weight at w, level L_j, to reach the threshold T_j; None unless weights are quantized.
    fixed_point_value : V at the fixed point in closed form, where the derivation finds one, else None: in eta, sigma,
        rho, alpha_1, alpha_2, kappa and B for weights that are not quantized (below the learning rate in the step
        "fixed point"); in sigma, omega, w*, alpha_1 and alpha_2 for two levels without weight decay and a teacher
        `Constant(w*)` or `TwoPoint(w*)`.
    parameters : value of every hyperparameter symbol of this model; of eta the formula in tau, or eta itself, where the
        learning rate is a schedule. A schedule leaves plateau_time and fixed_point_value None.
    maps : symbol of each entrywise map -> (the map, its scale symbol).
    rate : symbol of the learning rate in these equations: eta, or that at which momentum moves the weights.
    output : averages of the output channel (`steode.systems.linear.derivations.output.Output`) of a model that goes
        beyond quantized weights and isotropic quantized inputs; then c_2 stands for V in diffusion and moment
        equations.
    companion : a number that moves beside the law, if there is one.
    """

    model: object
    derivation: Derivation
    drift: sympy.Expr
    diffusion: sympy.Expr
    order_parameters: dict[sympy.Symbol, sympy.Expr]
    residual_variance: sympy.Expr
    observables: dict[str, sympy.Expr]
    input_moments: dict[sympy.Symbol, sympy.Expr]
    gaussian_closure: MomentEquations | None
    exact_moments: MomentEquations | None
    stationary_log_slope: sympy.Expr
    long_times: Callable
    parameters: dict[sympy.Symbol, float]
    maps: dict[sympy.Symbol, tuple[EntrywiseMap, sympy.Expr]]
    output: object | None = None
    companion: Companion | None = None
    rate: sympy.Symbol = sym.eta

    @property
    def inert(self) -> bool:
        """True if weights have inertia: drift and diffusion are then those of large friction."""
        return self.gaussian_closure is not None and sym.M_b in self.gaussian_closure.states

    def at_rate(self, rate: sympy.Symbol) -> "Limit":
        """The same equations with another symbol for the learning rate; the derivation stays as it is."""

        def renamed(value):
            if isinstance(value, MomentEquations):
                return dataclasses.replace(value, rates=tuple(map(renamed, value.rates)))
            return value if value is None else value.xreplace({self.rate: rate})

        names = ("drift", "diffusion", "gaussian_closure", "exact_moments", "stationary_log_slope")
        return dataclasses.replace(self, rate=rate, **{name: renamed(getattr(self, name)) for name in names})

    @property
    def plateau_time(self) -> sympy.Expr | None:
        """See the attributes."""
        return self._at_own_rate(self.long_times().plateau_time)

    @property
    def fixed_point_value(self) -> sympy.Expr | None:
        """See the attributes."""
        return self._at_own_rate(self.long_times().fixed_point_value)

    def _at_own_rate(self, value: sympy.Expr | None) -> sympy.Expr | None:
        return value if value is None else value.xreplace({sym.eta: self.rate})

    def explicit(self, expression: sympy.Expr) -> sympy.Expr:
        """An expression of this limit with input moments and named averages replaced by their closed forms."""
        return averages.explicit(expression.subs(self.input_moments), self.maps)

    def numeric(self, expression: sympy.Expr) -> sympy.Expr:
        """`explicit`, with this model's numbers substituted for its hyperparameters."""
        return self.explicit(expression).subs(self.parameters).evalf()

    def to_python(self) -> str:
        """The text of a Python module that solves the closed equations with NumPy and SciPy, without steode.

        These are the moment equations where they close exactly, else the Gaussian closure: what `solve` computes by
        the methods "moments" and "gaussian". The hyperparameters stand at its top, to be changed.

        Raises `UnsupportedError` for a model beyond quantized weights and isotropic quantized inputs, for the clipped
        surrogate, and for weight maps whose averages have no closed form.
        """
        return python_source(self, __version__)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.step('density equation').latex()}$"

    def __repr__(self) -> str:
        return f"Limit of {self.model}\n{self.derivation!r}"
