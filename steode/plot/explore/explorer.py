"""The widget: controls on the left, the figure on the right, a line of numbers below it."""

import dataclasses
import html

import ipywidgets

from steode.errors import SpecificationError, SteodeError, check_integer, check_positive
from steode.parts.laws import Constant
from steode.parts.quantizers import Uniform
from steode.plot.explore import view as views
from steode.plot.explore.controls import WIDE, controls_of, model_at
from steode.systems.linear.derive import derive
from steode.systems.linear.spec import LinearModel

METHODS = {"closure, at once": "gaussian", "density": "density"}
CONTINUOUS = {"range", "learning rate", "label noise", "initial spread"}
"""Controls whose values compile nothing new."""
BUSY = "computing … (a new bit width, teacher or method compiles for some seconds)"


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
        times = views.law_times(self.t_end)
        self.time = ipywidgets.FloatSlider(
            times[len(times) // 5 - 1],
            min=times[0],
            max=times[-1],
            step=times[0],
            description="law at time",
            style=WIDE,
        )
        self.button = ipywidgets.Button(description=f"simulate (d = {self.dim}, {self.seeds} seeds)", tooltip="run SGD")
        self.button.layout.width = "auto"
        self.image, self.status = ipywidgets.Image(format="svg+xml"), ipywidgets.HTML()
        self.image.layout = {"width": "100%", "min_width": "380px", "max_width": "1080px"}
        for widget in (*self.controls.values(), self.method):
            widget.observe(self._changed, names="value")
        self.time.observe(self._time_changed, names="value")
        self.button.on_click(self._simulate)
        left = ipywidgets.VBox([*self.controls.values(), self.method, self.time, self.button])
        left.layout.flex = "0 0 310px"
        right = ipywidgets.VBox([self.image, self.status], layout={"flex": "1 1 420px", "min_width": "0"})
        # in a narrow column the figure goes below the controls
        super().__init__([ipywidgets.HBox([left, right], layout={"flex_flow": "row wrap"})])
        self.view = None
        self.update()

    @property
    def model(self) -> LinearModel:
        """The model as the sliders stand."""
        return model_at(self.start, {name: widget.value for name, widget in self.controls.items()})

    def update(self) -> None:
        """Compute and draw; the density first without what else is known of the model, since drawing is fast."""
        method = self.method.value
        self.time.disabled = method != "density"
        self._set_continuous(method == "gaussian")
        try:
            view = views.limit(self.model, self.t_end, method, self.time.value)
            if self.view is not None and self.view.model == view.model:
                known = self.view
                view = dataclasses.replace(view, runs=known.runs, stationary=known.stationary)
            elif method == "density":
                self._show(view)
            self._show(views.completed(view))
        except SteodeError as error:
            self._say(error)

    def _set_continuous(self, fast: bool) -> None:
        """The closure follows a slider while it is dragged; the density waits until it is let go."""
        for name in CONTINUOUS & self.controls.keys():
            self.controls[name].continuous_update = fast

    def _changed(self, _) -> None:
        self.status.value = BUSY
        self.update()

    def _time_changed(self, _) -> None:
        if self.view is not None and self.view.law_time is not None:
            self._show(dataclasses.replace(self.view, law_time=self.time.value))

    def _simulate(self, _) -> None:
        if self.view is None:
            return
        said, self.button.disabled, self.button.description = self.button.description, True, "simulating …"
        try:
            self._show(views.simulated(self.view, self.dim, self.seeds))
        except SteodeError as error:
            self._say(error)
        finally:
            self.button.disabled, self.button.description = False, said

    def _show(self, view: views.View) -> None:
        self.view = view
        self.image.value = views.draw(view)
        self.status.value = "; ".join(self._numbers())

    def _say(self, error: SteodeError) -> None:
        self.status.value = f"<b>{html.escape(str(error))}</b>"

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
