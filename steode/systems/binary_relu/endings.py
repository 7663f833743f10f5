"""The verb `endings`: at which stationary point each run of the flow ended."""

import numpy as np

from steode.errors import SpecificationError, check_positive
from steode.systems.binary_relu.fixed_points import fixed_points
from steode.systems.binary_relu.results import CoarseFlow


def endings(flow: CoarseFlow, *, tolerance: float = 1e-3) -> np.ndarray:
    """Where the flow ended: shape (K,) of texts.

    The kind of a stationary point (see `StationaryPoint`) if the loss there was reached, "vanished" where w did, else
    "elsewhere": on the way, or at rest where the loss is not stationary.

    Parameters
    ----------
    flow : from `steode.binary_relu.solve`.
    tolerance : largest distance of losses, in units of |v*|^2.

    Raises
    ------
    SpecificationError
        If `flow` is no `CoarseFlow` or the tolerance is not positive.
    """
    if not isinstance(flow, CoarseFlow):
        raise SpecificationError("flow", "a CoarseFlow", flow, "Call steode.systems.binary_relu.solve.")
    tolerance = check_positive("tolerance", tolerance)
    star = flow.model.v_star
    found = np.full(flow.outcome.shape, "elsewhere", dtype="<U16")
    for point in fixed_points(flow.model):
        found[np.abs(flow.end_loss - point.loss) <= tolerance * (star @ star)] = point.kind
    found[flow.outcome == "vanished"] = "vanished"
    return found
