"""Which numbers of a model can be moved, and the model that a position of the sliders stands for."""

import dataclasses

import ipywidgets

from steode.parts.laws import Constant, Law, Normal, TwoPoint
from steode.parts.quantizers import Identity, StepFunction
from steode.parts.schedule import Schedule
from steode.systems.linear.spec import LinearModel

TEACHERS = {"constant 1": Constant(1.0), "two points ±0.7": TwoPoint(0.7), "standard normal": Normal()}
WIDE = {"description_width": "110px"}


def controls_of(model: LinearModel) -> dict[str, ipywidgets.Widget]:
    """One widget for each number of the model that can be moved, where the model has it."""
    found = {}
    quantizer = model.weight_quantizer
    if hasattr(quantizer, "bits"):
        least = 2 if getattr(quantizer, "kind", "") == "mid-tread" else 1
        found["bits"] = ipywidgets.IntSlider(quantizer.bits, min=least, max=max(6, quantizer.bits))
    if hasattr(quantizer, "range"):
        found["range"] = ipywidgets.FloatSlider(quantizer.range, min=0.25, max=max(6.0, quantizer.range), step=0.05)
    if not isinstance(model.input_quantizer, Identity):
        found["quantize inputs"] = ipywidgets.Checkbox(True)
    if not isinstance(model.learning_rate, Schedule):
        found["learning rate"] = ipywidgets.FloatLogSlider(model.learning_rate, min=-3, max=0.5, step=0.05)
    found["label noise"] = ipywidgets.FloatSlider(model.noise, min=0.0, max=max(1.0, model.noise), step=0.05)
    if isinstance(model.init, Normal):
        spread = model.init.std
        found["initial spread"] = ipywidgets.FloatSlider(spread, min=0.05, max=max(2.0, spread), step=0.05)
    teachers = ["as given", *(name for name, law in TEACHERS.items() if law != model.teacher)]
    found["teacher"] = ipywidgets.Dropdown(options=teachers)
    for name, widget in found.items():
        widget.description, widget.style = name, WIDE
        widget.continuous_update = False
    return found


def model_at(model: LinearModel, values: dict[str, object]) -> LinearModel:
    """The model with the values of its controls. Raises `SpecificationError` if they make no sense together."""
    quantizer = model.weight_quantizer
    grid = {name: values[name] for name in ("bits", "range") if name in values}
    changes = {"noise": values["label noise"], "teacher": _teacher(model, values["teacher"])}
    if grid and isinstance(quantizer, StepFunction):
        changes["weight_quantizer"] = dataclasses.replace(quantizer, **grid)
    if not values.get("quantize inputs", True):
        changes["input_quantizer"] = Identity()
    if "learning rate" in values:
        changes["learning_rate"] = values["learning rate"]
    if "initial spread" in values:
        changes["init"] = dataclasses.replace(model.init, std=values["initial spread"])
    return model.replace(**changes)


def _teacher(model: LinearModel, name: str) -> Law:
    return TEACHERS.get(name, model.teacher)
