"""Update rules: which estimate of the gradient moves the latent weights."""

import dataclasses

from steode.errors import SpecificationError, check_finite, check_integer, check_nonnegative, check_positive

DIRECTIONS = ("uniform", "triangular", "logistic", "normal")
"""Laws of the random part u of a direction, all with mean zero and variance one."""


@dataclasses.dataclass(frozen=True)
class STE:
    """Follow the straight-through gradient itself."""


@dataclasses.dataclass(frozen=True)
class Momentum:
    """Follow a sum of past gradients that forgets: heavy ball (Polyak 1964), as `torch.optim.SGD` has it.

        g = straight-through gradient + weight_decay w/sqrt(d),    b <- beta b + g,
        w <- w - (learning_rate/sqrt(d)) b,    with nesterov   w <- w - (learning_rate/sqrt(d)) (g + beta b),

    b = 0 at the start. The buffer forgets within 1/(1 - beta) steps, in which nothing of the limit moves: the limit is
    that of the straight-through gradient at the learning rate eta/(1 - beta), in drift, noise and weight decay alike.
    At finite d the two differ by another O(1/d), which grows with 1/(1 - beta).

    Parameters
    ----------
    beta : 0 <= beta < 1, fixed as d grows; 0 is the straight-through gradient itself.
    nesterov : look one step ahead; it changes no limit.

    Raises
    ------
    SpecificationError
        If beta is out of its domain, or nesterov no bool.
    """

    beta: float
    nesterov: bool = False

    def __post_init__(self):
        beta = check_finite("Momentum.beta", self.beta)
        if not 0 <= beta < 1:
            raise SpecificationError("Momentum.beta", "a number >= 0 and < 1", self.beta, "For example 0.9.")
        object.__setattr__(self, "beta", beta)
        if not isinstance(self.nesterov, bool):
            raise SpecificationError("Momentum.nesterov", "True or False", self.nesterov, "False is heavy ball.")

    @property
    def at_once(self) -> float:
        """The part of what a gradient moves a weight by in all that its own step does."""
        return (1 - self.beta) * (1 + self.beta * self.nesterov)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KineticMomentum:
    """Follow the mean of the gradients over a part of d steps: momentum whose memory is as long as training itself.

        g = straight-through gradient + weight_decay w/sqrt(d),    m <- beta m + (1 - beta) g,
        w <- w - (learning_rate/sqrt(d)) m,    1 - beta = friction/d,

    m = 0 at the start. The buffer remembers a time 1/friction in tau = step/d, so that weights have inertia in the
    limit: it is a law of weight and mean gradient together, and that of the straight-through gradient at the same
    learning rate for large friction. At rest the law of the weights does not depend on friction.

    Parameters
    ----------
    friction : gamma = (1 - beta) d > 0, fixed as d grows.

    Raises
    ------
    SpecificationError
        If friction is not positive.
    """

    friction: float

    def __post_init__(self):
        remedy = "It is (1 - beta) d; momentum of a fixed beta is Momentum(beta)."
        object.__setattr__(self, "friction", check_positive("KineticMomentum.friction", self.friction, remedy))


@dataclasses.dataclass(frozen=True)
class SignSGD:
    """Follow the sign of every entry of the straight-through gradient (Bernstein et al. 2018).

        w <- w - (learning_rate/sqrt(d)) sign(g) - (learning_rate weight_decay/d) w,

    g the gradient of the batch, sign(0) = 0. A step has the same length whatever the error is, so the noise does not
    vanish with it; with quantized inputs the target is another one than that of the gradient itself.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adam:
    """Follow the mean gradient over the root of its mean square (Kingma and Ba 2015), as `optax.adamw` without epsilon.

        m <- beta_1 m + (1 - beta_1) g,    v <- beta_2 v + (1 - beta_2) g^2,    1 - beta_2 = second_moment_rate/d,
        w <- w - (learning_rate/sqrt(d)) m_hat/sqrt(v_hat) - (learning_rate weight_decay/d) w,

    entrywise, with g = mean_batch[(yhat - y) Q_x(x)], m = v = 0 at the start, and m_hat, v_hat corrected for that. The
    memory of v is a time of order 1/second_moment_rate in tau = step/d, and all its entries are the same in the limit;
    m forgets within steps in which nothing of the limit moves. Weight decay is decoupled (Loshchilov and Hutter 2019),
    and dampening is too.

    Parameters
    ----------
    beta_1 : 0 <= beta_1 < 1, fixed as d grows; it changes no limit.
    second_moment_rate : (1 - beta_2) d > 0, fixed as d grows; None: a fixed beta_2 near 1, whose memory is shorter than
        anything the limit sees. Runs then take beta_2 = 1 - d^(-1/2), and are of order d^(-1/2) away from the limit.

    Raises
    ------
    SpecificationError
        If a number is out of its domain.
    """

    beta_1: float = 0.9
    second_moment_rate: float | None = None

    def __post_init__(self):
        object.__setattr__(self, "beta_1", check_finite("Adam.beta_1", self.beta_1))
        if not 0 <= self.beta_1 < 1:
            raise SpecificationError("Adam.beta_1", "a number >= 0 and < 1", self.beta_1, "For example 0.9.")
        if self.second_moment_rate is not None:
            remedy = "It is (1 - beta_2) d; None is a memory shorter than anything the limit sees."
            rate = check_positive("Adam.second_moment_rate", self.second_moment_rate, remedy)
            object.__setattr__(self, "second_moment_rate", rate)

    def beta_2(self, dim: int) -> float:
        """The factor by which v forgets in a step in dimension `dim`."""
        return 1 - dim**-0.5 if self.second_moment_rate is None else 1 - self.second_moment_rate / dim


@dataclasses.dataclass(frozen=True, kw_only=True)
class FOGZO:
    """First-order-guided zeroth-order estimates (Yang and Aamodt 2025) in place of the straight-through gradient g.

        G = mean_i [L(w + eps v_i) - L(w - eps v_i)]/(2 eps) v_i,
        v_i = sqrt(beta) s_i g/|g| + sqrt(1 - beta) u_i,    beta = 1 - c/d,

    with s_i = +-1 fair and L the loss of the batch at quantized weights. A step costs 2n + 1 forward passes and one
    backward pass; the STE one of each. Weight decay is applied to the weights as before.

    Parameters
    ----------
    c : (1 - beta) d >= 0, d times the share of the random part; it stays fixed as d grows.
    eps : length eps > 0 of the perturbation. The limit does not depend on it; the distance of finite d from the limit
        is of order (1/eps + eps)/sqrt(d) for step functions, and larger where few weights are near a threshold.
    n : directions of one step, >= 1.
    directions : law of the entries of u_i: "uniform", "triangular", "logistic" (those that the identity, ApproxSign and
        tanh as surrogates stand for) or "normal".

    Raises
    ------
    SpecificationError
        If a number is out of its domain or the law unknown.
    """

    c: float
    eps: float
    n: int = 1
    directions: str = "uniform"

    def __post_init__(self):
        remedy = "It is (1 - beta) d; 0 has no random part."
        object.__setattr__(self, "c", check_nonnegative("FOGZO.c", self.c, remedy))
        object.__setattr__(self, "eps", check_positive("FOGZO.eps", self.eps))
        object.__setattr__(self, "n", check_integer("FOGZO.n", self.n, 1, remedy="Each is two forward passes."))
        _check_directions("FOGZO", self.directions)

    @classmethod
    def from_beta(cls, beta: float, dim: int, eps: float, **others) -> "FOGZO":
        """The rule whose share of the straight-through direction in dimension `dim` is `beta`, between 0 and 1.

        Raises `SpecificationError` for a beta outside [0, 1] or a dim below 1.
        """
        if not 0 <= check_finite("beta", beta) <= 1:
            raise SpecificationError("beta", "a number between 0 and 1", beta, "1 has no random part.")
        return cls(c=(1 - beta) * check_integer("dim", dim, 1), eps=eps, **others)

    @property
    def noise_factor(self) -> float:
        """1 + c/n, by which the estimate multiplies the noise of the limit."""
        return 1 + self.c / self.n

    @property
    def passes(self) -> int:
        """Forward and backward passes of one step."""
        return 2 * self.n + 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class SPSA:
    """Plain zeroth-order estimates in place of the straight-through gradient: no guide, and n = ratio * d directions.

        G = mean_i [L(w + eps u_i) - L(w - eps u_i)]/(2 eps) u_i.

    Every weight is perturbed by order one, so that the noise of one direction is as large as the sum of all d slopes:
    at the learning rates of the STE a limit in tau = step/d exists for a number of directions in proportion to d only.
    A step costs 2n forward passes.

    Parameters
    ----------
    ratio : directions of one step over d, > 0; n is `ratio * d`, rounded. Runs refuse a d at which that is below 1.
    eps : standard deviation eps > 0 of the perturbation of every weight; the limit depends on it.
    directions : law of the entries of u_i, as of `FOGZO`.

    Raises
    ------
    SpecificationError
        If a number is out of its domain or the law unknown.
    """

    ratio: float
    eps: float
    directions: str = "uniform"

    def __post_init__(self):
        object.__setattr__(self, "ratio", check_positive("SPSA.ratio", self.ratio, "It is n/d, and n grows with d."))
        object.__setattr__(self, "eps", check_positive("SPSA.eps", self.eps))
        _check_directions("SPSA", self.directions)

    def count(self, dim: int) -> int:
        """Directions of one step in dimension `dim`."""
        return max(1, round(self.ratio * dim))


def _check_directions(name: str, directions: object) -> None:
    if directions not in DIRECTIONS:
        expected = "one of " + ", ".join(DIRECTIONS)
        raise SpecificationError(f"{name}.directions", expected, directions, "All have mean zero and variance one.")


UpdateRule = STE | Momentum | KineticMomentum | SignSGD | Adam | FOGZO | SPSA
