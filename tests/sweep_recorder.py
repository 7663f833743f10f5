"""A measure that costs nothing, for tests of what sweeps do around their measures."""

from steode.studies.sweep.measures import MEASURES, Measure
from steode.studies.sweep.source import Source, compiled


class Recorder:
    """A stand-in for the fixed point, eps_g = 10 range + rate, which records what it is asked."""

    def __init__(self, monkeypatch, stop_after=None):
        self.models, self.calls, self.traces, self.stop_after = [], [], 0, stop_after
        continuous = frozenset({"weight_range", "learning_rate"})
        source = Source(self.prepare, lambda settings: continuous, lambda model, settings: None)
        monkeypatch.setitem(MEASURES, "fixed_point", Measure(("eps_g",), source))

    def prepare(self, model, settings):
        self.models.append(model)

        def function(parameters):
            self.traces += 1
            eps_g = 10.0 * parameters.get("weight_range", 0.0) + parameters.get("learning_rate", 0.0)
            return {"eps_g": eps_g, "converged": eps_g < 1000}

        evaluate = compiled(function)

        def recorded(parameters):
            if self.stop_after is not None and len(self.calls) == self.stop_after:
                raise KeyboardInterrupt
            self.calls.append(parameters)
            return evaluate(parameters)

        return recorded
