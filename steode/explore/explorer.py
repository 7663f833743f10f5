"""The widget: controls on the left, the figure on the right, a line of numbers below it."""

import html

import ipywidgets

from steode.derive import derive
from steode.errors import SpecificationError, SteodeError, check_integer, check_positive
from steode.explore import view as views
from steode.explore.controls import WIDE, controls_of, model_at
from steode.laws import Constant
from steode.quantizers import Uniform
from steode.systems.linear.spec import LinearModel

METHODS = {"closure, at once": "gaussian", "density": "density"}


class Explorer(ipywidgets.VBox):
    """A model under sliders; see `steode.explore`.

    `controls` : name -> widget; `model`, `view` : what is shown.
    """

    def __init__(self, model: LinearModel | None, *, t_end: float, dim: int, seeds: int):
        grid = Uniform(bits=2, range=2.0)
        default = LinearModel(teacher=Constant(1.0), weight_quantizer=grid, input_quantizer=grid)
        self.start = default if model is None else model
        if not isinstance(self.start, LinearModel):
            raise SpecificationError("model", "a LinearModel", model, "Or nothing, for the reference model.")
        self.t_end = check_positive("t_end", t_end)
        self.dim, self.seeds = check_integer("dim", dim, 1), check_integer("seeds", seeds, 1)
        self.controls = controls_of(self.start)
        closes = derive(self.start).gaussian_closure is not None
        methods = METHODS if closes else {"density": "density"}
        self.method = ipywidgets.Dropdown(options=methods, value="density", description="method", style=WIDE)
        self.time = ipywidgets.FloatSlider(
            self.t_end / 5, min=self.t_end / 500, max=self.t_end, step=self.t_end / 500, description="law at time",
            continuous_update=False, style=WIDE,
        )  # fmt: skip
        self.button = ipywidgets.Button(description=f"simulate (d = {self.dim}, {self.seeds} seeds)", tooltip="run SGD")
        self.button.layout.width = "auto"
        self.image, self.status = ipywidgets.Image(format="png"), ipywidgets.HTML()
        for widget in (*self.controls.values(), self.method, self.time):
            widget.observe(self._changed, names="value")
        self.button.on_click(self._simulate)
        left = ipywidgets.VBox([*self.controls.values(), self.method, self.time, self.button])
        right = ipywidgets.VBox([self.image, self.status])
        super().__init__([ipywidgets.HBox([left, right])])
        self.view = None
        self.update()

    @property
    def model(self) -> LinearModel:
        """The model as the sliders stand."""
        return model_at(self.start, {name: widget.value for name, widget in self.controls.items()})

    def update(self) -> None:
        """Compute and draw: the curve first, then what takes longer."""
        self.time.disabled = self.method.value != "density"
        try:
            self.view = views.limit(self.model, self.t_end, self.method.value, self.time.value)
            self._show()
            self.view = views.completed(self.view)
            self._show()
        except SteodeError as error:
            self.status.value = f"<b>{html.escape(str(error))}</b>"

    def _changed(self, _) -> None:
        self.status.value = "…"
        self.update()

    def _simulate(self, _) -> None:
        if self.view is None:
            return
        self.button.disabled = True
        try:
            self.view = views.simulated(self.view, self.dim, self.seeds)
            self._show()
        except SteodeError as error:
            self.status.value = f"<b>{html.escape(str(error))}</b>"
        finally:
            self.button.disabled = False

    def _show(self) -> None:
        self.image.value = views.draw(self.view)
        self.status.value = "; ".join(self._numbers())

    def _numbers(self) -> list[str]:
        view = self.view
        numbers = [f"&epsilon;<sub>g</sub>({self.t_end:g}) = {view.theory['eps_g'][-1]:.5f}"]
        if view.stationary is not None:
            numbers += [f"fixed point {point.eps_g:.5f}" for point in view.stationary]
        if view.plateaus is not None:
            numbers += [f"plateau to {item.end:.3g} at {item.height:.4f}" for item in view.plateaus]
        if view.estimate is not None and view.plateaus:
            numbers.append(f"estimated {view.estimate.length:.3g}")
        return numbers
