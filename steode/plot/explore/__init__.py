"""The verb `explore`: a model under sliders, in Jupyter."""

from steode.errors import UnsupportedError
from steode.systems.linear.spec import LinearModel

__all__ = ["explore"]


def explore(model: LinearModel | None = None, *, t_end: float = 50.0, dim: int = 500, seeds: int = 4):
    """A widget that shows what a model does while its numbers are moved.

    Sliders for bits, range, learning rate, label noise and initial spread, and a choice of teachers, as far as the
    model has them. At once: the limit (by the Gaussian closure, or the density equation, which takes a little longer),
    its fixed points and plateaus, and the law of the weights at a chosen time. On a button: runs of the algorithm
    itself beside it. A new bit width or teacher compiles for some seconds; after that changes are answered in
    fractions of a second.

    Parameters
    ----------
    model : where the sliders start; None: two-bit weights and inputs of range 2, teacher 1.
    t_end : rescaled time tau shown, > 0.
    dim, seeds : dimension and number of the runs.

    Returns
    -------
    Explorer, an `ipywidgets.VBox`; `explorer.model` is the model as the sliders stand, `explorer.view` what is shown.

    Raises
    ------
    UnsupportedError
        If ipywidgets is not installed: `pip install steode[notebooks]`.
    SpecificationError
        If an argument makes no sense.
    """
    try:
        from steode.plot.explore.explorer import Explorer
    except ImportError as error:
        raise UnsupportedError("explore needs ipywidgets: pip install 'steode[notebooks]'.") from error
    return Explorer(model, t_end=t_end, dim=dim, seeds=seeds)
