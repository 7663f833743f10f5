"""The derivation pages: the model of each, and which check stands beside which step."""

import checks
import coarse_checks
import committee_checks
import fogzo_checks
import layer_checks
import regression_checks
import spsa_checks
import sympy

from steode import (
    FOGZO,
    SPSA,
    Adam,
    AdditiveNoise,
    ClippedSurrogate,
    CommonFactor,
    Constant,
    DerivativeOf,
    Elementwise,
    Identity,
    KineticMomentum,
    LearnedRange,
    LinearModel,
    MultiplicativeNoise,
    Normal,
    PowerLaw,
    SignSGD,
    StochasticRounding,
    TwoPoint,
    Uniform,
)
from steode.systems.binary_relu import BinaryReLUModel
from steode.systems.classification import ClassificationModel
from steode.systems.committee import CommitteeModel
from steode.systems.layer import LayerModel
from steode.systems.regression import ROLES, RegressionModel

TWO_BITS = Uniform(bits=2, range=2.0)
THREE_BITS = Uniform(bits=3, range=2.0, kind="mid-tread")
TANH = Elementwise(sympy.tanh(sympy.Symbol("x")))

MODELS = {
    "both_quantized": LinearModel(
        weight_quantizer=TWO_BITS, input_quantizer=TWO_BITS, teacher=Constant(1.0), learning_rate=0.1
    ),
    "weights_only": LinearModel(
        weight_quantizer=THREE_BITS, teacher=Constant(1.0), init=Normal(std=0.1), learning_rate=0.02
    ),
    "inputs_only": LinearModel(input_quantizer=TWO_BITS, teacher=TwoPoint(1.0), learning_rate=0.5, noise=0.3),
    "clipped_surrogate": LinearModel(
        weight_quantizer=TWO_BITS,
        teacher=TwoPoint(1.0),
        init=Normal(std=0.5),
        surrogate=ClippedSurrogate(bound=1.6),
        learning_rate=0.3,
        noise=0.3,
    ),
    "smooth_map": LinearModel(
        weight_quantizer=TANH, input_quantizer=TANH, teacher=TwoPoint(0.5), learning_rate=0.5, noise=0.3
    ),
    "unquantized": LinearModel(teacher=Constant(1.0), learning_rate=0.5, noise=0.3),
    "floor": LinearModel(weight_quantizer=TWO_BITS, teacher=TwoPoint(1.0), learning_rate=0.5, noise=0.3),
    "spectrum": LinearModel(
        weight_quantizer=TWO_BITS,
        input_quantizer=TWO_BITS,
        teacher=TwoPoint(1.0),
        spectrum=PowerLaw(exponent=1.0, count=10, scale=3.0),
        learning_rate=0.2,
        noise=0.2,
    ),
    "noise_models": LinearModel(
        weight_quantizer=AdditiveNoise(0.05),
        input_quantizer=CommonFactor(0.1),
        label_quantizer=AdditiveNoise(0.1),
        residual_quantizer=MultiplicativeNoise(0.2),
        teacher=TwoPoint(1.0),
        learning_rate=0.3,
        noise=0.2,
    ),
    "rounded_weights": LinearModel(
        weight_quantizer=StochasticRounding(TWO_BITS),
        activation=THREE_BITS,
        teacher=TwoPoint(1.0),
        learning_rate=0.3,
        noise=0.2,
    ),
    "smooth_output": LinearModel(
        weight_quantizer=TWO_BITS,
        activation=TANH,
        activation_surrogate=DerivativeOf(TANH),
        teacher_activation=TANH,
        teacher=TwoPoint(1.0),
        learning_rate=0.5,
        noise=0.2,
    ),
    "sign": LinearModel(
        weight_quantizer=TWO_BITS,
        input_quantizer=TWO_BITS,
        teacher=Constant(1.0),
        learning_rate=0.1,
        noise=0.1,
        batch_size=2,
        update_rule=SignSGD(),
    ),
    "adam": LinearModel(
        weight_quantizer=TWO_BITS,
        input_quantizer=TWO_BITS,
        teacher=Constant(1.0),
        learning_rate=0.1,
        noise=0.1,
        update_rule=Adam(second_moment_rate=1.0),
    ),
    "kinetic": LinearModel(
        weight_quantizer=TWO_BITS,
        teacher=Constant(1.0),
        learning_rate=0.3,
        noise=0.3,
        update_rule=KineticMomentum(friction=1.0),
    ),
    "dampening": LinearModel(
        weight_quantizer=TWO_BITS, teacher=Constant(0.9), learning_rate=0.1, noise=0.3, dampening=0.5
    ),
    "learned_range": LinearModel(
        weight_quantizer=TWO_BITS,
        teacher=Constant(1.0),
        learning_rate=0.1,
        noise=0.1,
        range_rule=LearnedRange(rate=0.2),
    ),
    "fogzo": LinearModel(
        weight_quantizer=Uniform(bits=3, range=2.0),
        teacher=Normal(),
        learning_rate=0.3,
        noise=0.1,
        update_rule=FOGZO(c=2.0, eps=0.3, n=2),
    ),
    "spsa": LinearModel(
        weight_quantizer=TWO_BITS,
        input_quantizer=THREE_BITS,
        teacher=Normal(),
        learning_rate=0.4,
        noise=0.3,
        update_rule=SPSA(ratio=0.5, eps=0.4),
    ),
}
"""Name -> model. Each derivation is rendered from `derive(model)`."""

REGRESSIONS = {
    "quantized_regression": RegressionModel(
        spectrum=PowerLaw(2.0, 40),
        step_size=0.15,
        batch_size=4,
        **{f"{role}_quantizer": AdditiveNoise(0.05) for role in ROLES},
    ),
    "quantized_regression_multiplicative": RegressionModel(
        spectrum=PowerLaw(2.0, 40),
        step_size=0.15,
        batch_size=4,
        data_quantizer=MultiplicativeNoise(0.05),
        activation_quantizer=CommonFactor(0.05),
    ),
}
"""Models of quantized regression, by name."""

COARSE = {
    name: BinaryReLUModel(rows=3, filter_size=4, output_teacher=(1.0, -0.5, 2.0), surrogate=surrogate)
    for name, surrogate in (
        ("binary_relu", "clipped relu"),
        ("binary_relu_relu", "relu"),
        ("binary_relu_identity", "identity"),
        ("binary_relu_own", 1 / (1 + sympy.Symbol("x") ** 2)),
    )
}
"""Models of two layers with a binarized ReLU, by name."""

CLASSIFICATION = {
    "classification": ClassificationModel(),
    "classification_tail": ClassificationModel(surrogate="exponential tail"),
}
"""Models of classes in orthogonal subspaces, by name."""

LAYERS = {
    name: LayerModel(
        layer_checks.WEIGHTS,
        second_moment=layer_checks.MOMENT,
        bits=2,
        kind="mid-rise",
        range=2.0,
        learning_rate=0.1,
        noise=0.3,
        input_quantizer=quantizer,
    )
    for name, quantizer in (("layer", Identity()), ("layer_quantized_inputs", Uniform(2, 2.0)))
}
"""A layer whose inputs are an autoregressive sequence, by name."""

PLAIN_COMMITTEE = CommitteeModel(learning_rate=0.5, noise=0.1, init=Normal(std=0.5), alignment=0.3)
COMMITTEES = {
    "committee": PLAIN_COMMITTEE,
    "committee_quantized": PLAIN_COMMITTEE.replace(
        activation="relu", learning_rate=0.2, weight_quantizer=TWO_BITS, output_learning_rate=0.1
    ),
}
"""Committee machines, by name."""

ALL = MODELS | REGRESSIONS | COARSE | CLASSIFICATION | LAYERS | COMMITTEES
"""Every derivation of the site."""

CHECKS = {
    "both_quantized": {
        "input moments": (checks.input_moments,),
        "generalization error": (checks.trajectory, 60.0),
        "density equation": (checks.density, (5.0, 60.0)),
        "Gaussian closure": (checks.closure, 60.0),
        "stationary density": (checks.stationary, 1.0),
    },
    "weights_only": {
        "generalization error": (checks.trajectory, 50.0),
        "density equation": (checks.density, (10.0, 22.0)),
        "Gaussian closure": (checks.closure, 50.0),
        "plateau": (checks.plateaus, (2.0, 3.2, 4.4)),
    },
    "inputs_only": {
        "input moments": (checks.input_moments,),
        "exact moment equations": (checks.trajectory, 12.0),
    },
    "clipped_surrogate": {
        "generalization error": (checks.trajectory, 20.0),
        "absorption at the clipping bound": (checks.density, (5.0, 20.0)),
    },
    "smooth_map": {
        "input moments": (checks.input_moments,),
        "generalization error": (checks.trajectory, 20.0),
        "density equation": (checks.density, (3.0, 20.0)),
        "Gaussian closure": (checks.closure, 20.0),
    },
    "unquantized": {"exact moment equations": (checks.trajectory, 12.0)},
    "floor": {"small-learning-rate floor": (checks.floor, (0.1, 0.5, 1.5))},
    "spectrum": {
        "density equation": (checks.trajectory, 20.0),
        "Gaussian closure": (checks.closure, 20.0),
    },
    "noise_models": {"exact moment equations": (checks.trajectory, 12.0)},
    "rounded_weights": {"density equation": (checks.trajectory, 20.0)},
    "smooth_output": {"density equation": (checks.trajectory, 20.0)},
    "sign": {
        "norms of the inputs": (checks.sign_moments,),
        "generalization error": (checks.trajectory, 40.0),
        "Gaussian closure": (checks.closure, 40.0),
    },
    "adam": {
        "mean square of the gradient": (checks.trajectory, 40.0),
        "Gaussian closure": (checks.closure, 40.0),
    },
    "kinetic": {
        "generalization error": (checks.trajectory, 30.0),
        "Gaussian closure": (checks.closure, 30.0),
    },
    "dampening": {
        "generalization error": (checks.trajectory, 30.0),
        "stationary density": (checks.stationary, 0.9),
    },
    "learned_range": {"density in units of the range": (checks.trajectory, 40.0)},
    "fogzo": {
        "change of the output": (fogzo_checks.flips,),
        "one-step variance": (fogzo_checks.one_step,),
        "generalization error": (fogzo_checks.runs, 8.0),
        "density equation": (fogzo_checks.slope, 8.0),
        "Gaussian closure": (checks.closure, 8.0),
    },
    "spsa": {"generalization error": (spsa_checks.runs, 6.0)},
    "binary_relu": {
        "averages of the surrogate": (coarse_checks.averages,),
        "expected coarse gradient": (coarse_checks.gradients,),
        "flow": (coarse_checks.flow,),
        "spurious minima": (coarse_checks.spurious,),
    },
    "binary_relu_identity": {"coarse gradient of this surrogate": (coarse_checks.spurious,)},
    "quantized_regression": {"risk on raw inputs": (regression_checks.risk,)},
    "committee": {"equations of the overlaps": (committee_checks.runs,)},
    "committee_quantized": {"Gaussian closure": (committee_checks.runs,)},
    "layer": {"fixed point": (layer_checks.runs,)},
    "layer_quantized_inputs": {"fixed point": (layer_checks.runs,)},
}
"""Name -> {title of a step: the check placed after it, with its arguments after the model}."""
