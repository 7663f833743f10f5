"""Every refused input, with the four parts of its message: argument, what was expected, what came, what to do."""

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy

from steode.errors import SpecificationError, SteodeError, check_finite, check_integer, check_positive
from steode.parts.elementwise import Elementwise
from steode.parts.laws import Constant, Discrete, Empirical, Laplace, Normal, TwoPoint, UniformLaw
from steode.parts.quantizers import Levels, Sign, SignedInteger, Ternary, Uniform
from steode.systems.linear.spec import ClippedSurrogate, LinearModel

x, y = sympy.symbols("x y", real=True)
NAN, INF, HUGE = math.nan, math.inf, 10**400

NUMBERS = {
    "nan": NAN,
    "infinite": INF,
    "too large": HUGE,
    "text": "1",
    "boolean": True,
    "complex": 1j,
    "array": np.ones(1),
}
NOT_POSITIVE = NUMBERS | {"zero": 0.0, "negative": -1.0, "minus infinity": -INF, "None": None}
NOT_BITS = {
    "zero": 0,
    "negative": -1,
    "real": 2.0,
    "too many": 13,
    "boolean": True,
    "text": "2",
    "nan": NAN,
    "None": None,
}
NOT_ARRAYS = {"empty": [], "nan": [1.0, NAN], "infinite": [INF], "text": ["1"], "word": "1", "too large": [HUGE]}
NOT_ARRAYS |= {"complex": [1j], "booleans": [True], "ragged": [[1.0], [1.0, 2.0]], "None": None, "law": Constant(1.0)}
NOT_INCREASING = {"unsorted": (1, 0), "repeated": (0, 0), "nan": (0, NAN), "infinite": (0, INF), "too large": (0, HUGE)}
NOT_INCREASING |= {
    "text": ("0", "1"),
    "word": "01",
    "booleans": (False, True),
    "nested": ((0, 1), (2, 3)),
    "None": None,
}
NOT_INCREASING |= {"number": 1.0, "empty": (), "complex": (0, 1j)}


def model(**changes):
    return LinearModel(**({"teacher": Constant(1.0)} | changes))


# argument named by the message -> (construction from one value, refused values)
REFUSED = {
    "Uniform.bits": (lambda value: Uniform(value, 1.0), NOT_BITS),
    "Uniform.range": (lambda value: Uniform(2, value), NOT_POSITIVE),
    "Uniform.kind": (lambda value: Uniform(2, 1.0, value), {"typing error": "midrise", "None": None, "number": 1}),
    "SignedInteger.bits": (lambda value: SignedInteger(value, 1.0), NOT_BITS),
    "SignedInteger.range": (lambda value: SignedInteger(2, value), NOT_POSITIVE),
    "Sign.range": (Sign, NOT_POSITIVE),
    "Ternary.range": (Ternary, NOT_POSITIVE),
    "Levels.levels_at": (Levels, NOT_INCREASING | {"one level": (1.0,)}),
    "Levels.thresholds_at": (
        lambda value: Levels((-1, 0, 1), value),
        {name: value for name, value in NOT_INCREASING.items() if name != "None"}
        | {"too few": (0.5,), "too many": (-0.5, 0.5, 1.5)},
    ),
    "Elementwise.expression": (
        Elementwise,
        {
            "constant": sympy.Integer(1),
            "number": 1.5,
            "two variables": x * y,
            "half a line": sympy.log(x),
            "imaginary": sympy.sqrt(x),
            "overflow": sympy.exp(sympy.exp(x**2)),
            "unknown function": sympy.Function("f")(x),
            "relation": x > 0,
            "syntax": "tanh(",
            "Python function": math.tanh,
            "list": [x],
            "None": None,
        },
    ),
    "ClippedSurrogate.bound": (ClippedSurrogate, NOT_POSITIVE),
    "ClippedSurrogate.lower": (
        lambda value: ClippedSurrogate(1.0, value),
        {name: bad for name, bad in NUMBERS.items() if name != "None"} | {"positive": 0.5},
    ),
    "Constant.value": (Constant, NUMBERS),
    "TwoPoint.value": (TwoPoint, NOT_POSITIVE),
    "TwoPoint.probability": (lambda value: TwoPoint(1.0, value), NUMBERS | {"zero": 0, "one": 1, "negative": -0.1}),
    "Discrete.values": (Discrete, NOT_ARRAYS),
    "Discrete.probabilities": (
        lambda value: Discrete((1.0, 2.0), value),
        {name: value for name, value in NOT_ARRAYS.items() if name != "None"}
        | {"too few": (1.0,), "sum": (0.5, 0.6), "negative": (1.5, -0.5), "zero": (1.0, 0.0)},
    ),
    "Normal.mean": (lambda value: Normal(mean=value), NUMBERS),
    "Normal.std": (lambda value: Normal(std=value), NOT_POSITIVE),
    "Laplace.mean": (lambda value: Laplace(mean=value), NUMBERS),
    "Laplace.scale": (lambda value: Laplace(scale=value), NOT_POSITIVE),
    "UniformLaw.low": (lambda value: UniformLaw(value, 1.0), NUMBERS),
    "UniformLaw.high": (lambda value: UniformLaw(0.5, value), NOT_POSITIVE | {"equal to low": 0.5}),
    "Empirical.values": (Empirical, {name: value for name, value in NOT_ARRAYS.items() if name != "word"}),
    "learning_rate": (lambda value: model(learning_rate=value), NOT_POSITIVE),
    "noise": (lambda value: model(noise=value), NUMBERS | {"negative": -1e-9, "None": None}),
    "teacher": (lambda value: model(teacher=value), {"number": 1.0, "class": Constant, "None": None}),
    "init": (lambda value: model(init=value), {"number": 0.0, "class": Normal, "None": None}),
    "weight_quantizer": (lambda value: model(weight_quantizer=value), {"number": 2, "class": Uniform, "None": None}),
    "input_quantizer": (
        lambda value: model(input_quantizer=value),
        {
            "number": 2,
            "None": None,
            "two's complement": SignedInteger(3, 1.0),
            "uneven levels": Levels((-1, 0, 2)),
            "uneven thresholds": Levels((-1, 0, 1), (-0.5, 0.6)),
            "even function": Elementwise(sympy.cos(x)),
            "shifted": Elementwise(sympy.Max(x, 0)),
        },
    ),
    "surrogate": (lambda value: model(surrogate=value), {"number": 1.0, "class": ClippedSurrogate, "None": None}),
    "nodes": (lambda value: Normal().quadrature(np.array([]), value), {"one": 1, "real": 8.0, "None": None}),
}
CASES = [
    pytest.param(argument, make, value, id=f"{argument}-{name}")
    for argument, (make, values) in REFUSED.items()
    for name, value in values.items()
]


@pytest.mark.parametrize(("argument", "make", "value"), CASES)
def test_refused_with_argument_expectation_reception_and_remedy(argument, make, value):
    with pytest.raises(SpecificationError) as caught:
        make(value)
    error = caught.value
    assert error.argument == argument
    assert error.expected
    assert error.remedy.strip()
    received = repr(error.received)
    received = received if len(received) <= 80 else received[:77] + "..."
    assert str(error) == f"{argument}: expected {error.expected}, received {received}. {error.remedy}"


def test_one_bit_mid_tread_is_refused_with_the_alternatives():
    with pytest.raises(SpecificationError, match=r"between 2 and 12, received 1\. .*mid-rise or Sign"):
        Uniform(1, 1.0, kind="mid-tread")


def test_the_message_names_the_bad_entry_of_a_long_array():
    numbers = np.ones(1000)
    numbers[700] = NAN
    with pytest.raises(SpecificationError, match="nan at index 700"):
        Empirical(numbers)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04hello", b"\x93NUMPY\x01\x00"])
def test_a_damaged_array_file_is_refused(tmp_path, content):
    path = tmp_path / "weights.npy"
    path.write_bytes(content)
    with pytest.raises(SpecificationError, match=r"^Empirical\.values: expected the path of a readable \.npy file"):
        Empirical(path)


def test_a_file_without_usable_numbers_is_refused(tmp_path):
    path = tmp_path / "weights.npy"
    for array in (np.array([]), np.array([1.0, NAN]), np.array(["a"]), np.array([1j]), np.array([None])):
        np.save(path, array, allow_pickle=True)
        with pytest.raises(SpecificationError, match=r"^Empirical\.values: expected "):
            Empirical(path)
    with pytest.raises(SpecificationError, match=r"readable \.npy file"):
        Empirical(tmp_path / "missing.npy")
    with pytest.raises(SpecificationError, match=r"readable \.npy file"):
        Empirical(tmp_path)


def test_every_error_is_a_steode_error_and_a_value_error():
    with pytest.raises(SteodeError):
        Sign(0)
    with pytest.raises(ValueError, match=r"Sign\.range"):
        Sign(0)


def test_checks_return_plain_python_numbers():
    assert type(check_finite("a", np.float32(0.5))) is float
    assert check_finite("a", Fraction(1, 4)) == 0.25
    assert type(check_positive("a", 2)) is float
    assert type(check_integer("a", np.int8(3), 1)) is int


def test_a_long_value_is_shortened_in_the_message():
    with pytest.raises(SpecificationError) as caught:
        check_positive("a", "long " * 1000)
    assert len(str(caught.value)) < 200
