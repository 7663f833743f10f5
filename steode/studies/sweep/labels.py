"""Words and letters for what a sweep varies and computes, those of docs/notation.md where it has one."""

from steode.studies.sweep.axes import Axis

KEYS = {
    "learning_rate": ("learning rate", r"\eta"),
    "noise": ("label-noise standard deviation", r"\sigma"),
    "weight_decay": ("weight decay", r"\kappa"),
    "batch_size": ("batch size", "B"),
    "weight_quantizer.range": ("quantization range of the weights", r"\omega"),
    "weight_quantizer.bits": ("bits of the weights", "b"),
    "input_quantizer.range": ("quantization range of the inputs", r"\omega_x"),
    "input_quantizer.bits": ("bits of the inputs", "b_x"),
    "surrogate.bound": ("bound of the clipped surrogate", "c"),
    "surrogate.lower": ("lower bound of the clipped surrogate", "c_-"),
    "teacher.value": ("teacher weight", "w^*"),
    "teacher.std": ("standard deviation of the teacher", ""),
    "teacher.scale": ("scale of the teacher", ""),
    "init.std": ("standard deviation of the initial weights", ""),
}
"""Dotted key -> meaning and letter; others are called by their keys."""

TIED = {
    ("weight_quantizer.range", "input_quantizer.range"): "quantization range",
    ("weight_quantizer.bits", "input_quantizer.bits"): "bits",
}
"""One word for keys that often go together."""

VARIABLES = {
    "eps_g": ("generalization error at the fixed point", r"\varepsilon_g", "1"),
    "V": ("mean squared residual at the fixed point", "V", "1"),
    "input_term": ("part of the error from quantized inputs", "", "1"),
    "dithering_term": ("part of the error from weights flipping between levels", "", "1"),
    "clipping_term": ("part of the error from targets beyond the range", "", "1"),
    "decay_term": ("part of the error from weight decay", "", "1"),
    "noise_term": ("part of the error from stochastic maps of weights and output", "", "1"),
    "deviation": ("error minus that of the unquantized model", "", "1"),
    "plateau_length": ("plateau length", r"\tau", "tau"),
    "time_to_error": ("time to reach the error", r"\tau", "tau"),
    "relaxation_time": ("relaxation time", r"\tau", "tau"),
    "settling_time": ("settling time", r"\tau", "tau"),
    "best_range": ("best quantization range of the weights", r"\omega", "1"),
}
"""Variable -> meaning, letter and unit; tau is rescaled time, step divided by d."""

NEITHER = ("best_range",)
"""Variables of which neither small nor large values are better."""


def axis_attributes(axis: Axis) -> dict[str, str]:
    """Attributes of a coordinate: long_name, symbol, and the keys that share its values."""
    meanings, letters = zip(*(KEYS.get(key, (key, "")) for key in axis.keys), strict=True)
    meaning = TIED.get(axis.keys, ", ".join(meanings))
    # tied letters are equal; one without a letter leaves the words only
    symbol = f"${' = '.join(letters)}$" if all(letters) else ""
    return {"long_name": meaning, "symbol": symbol, "keys": ", ".join(axis.keys)}


def variable_attributes(name: str) -> dict[str, str]:
    """Attributes of a variable: long_name, symbol, units, and which direction is better where there is one."""
    meaning, letter, unit = VARIABLES[name]
    attributes = {"long_name": meaning, "symbol": f"${letter}$" if letter else "", "units": unit}
    return attributes if name in NEITHER else attributes | {"better": "smaller"}
