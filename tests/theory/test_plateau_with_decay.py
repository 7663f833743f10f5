"""The plateau with weight decay: crossing times against the integrated drift."""

import pytest
import scipy.integrate
import sympy

from steode import Constant, LinearModel, Normal, Uniform, UnsupportedError, derive, plateau_estimate
from steode.symbolic import symbols as sym

MODEL = LinearModel(
    weight_quantizer=Uniform(3, 2.0, "mid-tread"),
    teacher=Constant(1.0),
    init=Normal(mean=0.1, std=0.05),
    learning_rate=0.02,
    weight_decay=0.7,
)


def test_time_to_the_threshold_agrees_with_the_integrated_drift():
    drift = sympy.lambdify(sym.w, derive(MODEL).numeric(derive(MODEL).drift.subs({sym.s: 1, sym.Q: 0, sym.wstar: 1})))
    threshold = MODEL.weight_quantizer.thresholds[3]

    def arrival(_, w):
        return w[0] - threshold

    arrival.terminal = True
    path = scipy.integrate.solve_ivp(
        lambda _, w: [drift(w[0])], (0, 1e4), [0.1], events=arrival, rtol=1e-12, atol=1e-13
    )
    estimate = plateau_estimate(MODEL)
    assert abs(estimate.length - path.t_events[0][0]) < 1e-7
    assert "balance" in derive(MODEL).step("plateau").reason


def test_no_decay_is_its_limit():
    still = plateau_estimate(MODEL.replace(weight_decay=0.0))
    weak = plateau_estimate(MODEL.replace(weight_decay=1e-6))
    assert abs(weak.length / still.length - 1) < 1e-5
    assert abs(weak.spread / still.spread - 1) < 1e-5


def test_weights_that_come_to_rest_before_the_threshold_never_cross():
    with pytest.raises(UnsupportedError, match="do not leave their cell"):
        plateau_estimate(MODEL.replace(weight_decay=4.0))
