"""The verb `obstacles`: why no weights, or none that training reaches, classify perfectly."""

import numpy as np

from steode.systems.classification import symbols as sym
from steode.systems.classification.derivation import derive_for
from steode.systems.classification.simulate import check_weights
from steode.systems.classification.spec import ClassificationModel, check_model


def obstacles(model: ClassificationModel, init=None) -> tuple[str, ...]:
    """Reasons why perfect classification is out of reach, derived from numbers alone; an empty tuple says nothing.

    Three are known: fewer than d_i + 1 own neurons cannot cover all directions; too few levels for the pairs x and -x;
    and with the identity a start that is too small. See the steps "covering", "pairs" and "identity" of `derive`. The
    latter two hold for all weights in which no neuron that votes for another class has lost its part in the subspace
    exactly.

    Parameters
    ----------
    model : the specification.
    init : initial weights in the coordinates of the subspaces, (K, sum of d_i); without them the third is not asked.

    Raises `SpecificationError` if the weights have another shape.
    """
    check_model(model)
    init = None if init is None else check_weights("init", model, init)
    lead, found = derive_for(model.surrogate.name).pair_lead, []
    for number, (dimension, own) in enumerate(zip(model.dimensions, model.neurons_per_class, strict=True)):
        if own <= dimension:
            found.append(f"class {number}: {own} neurons cannot cover {dimension} dimensions; it takes {dimension + 1}")
        most = max(count for other, count in enumerate(model.neurons_per_class) if other != number)
        values = {sym.n_y: own, sym.n_i: most, sym.q: model.top, sym.m: model.margin}
        if lead.subs(values) < 0:
            found.append(
                f"class {number}: at x and -x together its {own} neurons reach {own * model.top} levels, "
                f"and need {most + 2 * model.margin}"
            )
        elif init is not None and model.surrogate.name == "identity" and dimension > 1:
            lengths = np.linalg.norm(init[model.votes == number, model.blocks[number]], axis=1)
            levels = int(np.minimum(np.ceil(model.radii[0] * lengths), model.top).sum())
            if levels < most + 2 * model.margin:
                found.append(
                    f"class {number}: the identity shifts its neurons together; orthogonal to the shift they keep at "
                    f"most {levels} levels, and need {most + 2 * model.margin}"
                )
    return tuple(found)
