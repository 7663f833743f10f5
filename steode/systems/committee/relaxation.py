"""Where the overlaps of quantized weights come to rest in the Gaussian closure, and how a small asymmetry grows there.

The closure is approximate: how far it is off shows beside `solve` with particles.
"""

import numpy as np

from steode.systems.committee.fixed_point import CommitteeFixedPoint
from steode.systems.committee.problem import make_problem
from steode.systems.committee.solve import initial_state, integrate
from steode.systems.committee.spec import CommitteeModel

SPAN, RECORDS = 300.0, 601
"""Length of a relaxation in units of 1/(eta alpha_2), and its times."""
SEED = 1e-6
"""Asymmetry whose growth is measured."""
SMALL = (1e-5, 1e-2)
"""Specialization between which it grows exponentially."""
SETTLED, ROUNDING = 1e-4, 1e-7
"""Largest relative change of the error in the last tenth of a relaxation at rest, and changes that are noise."""
CAREFUL = 1e-8


def relaxed(model: CommitteeModel, name: str) -> list[CommitteeFixedPoint]:
    """The state in which the start of this name comes to rest, if it does."""
    problem = make_problem(model)
    times = np.linspace(0, SPAN / (float(np.min(model.learning_rate)) * float(problem.alpha_2)), RECORDS)
    path = integrate(*initial_state(model, problem, "gaussian"), times, CAREFUL)
    if path is None:
        return []
    error = path["eps_g"]
    residual = float(np.ptp(error[-RECORDS // 10 :]) / np.abs(error).max())
    if residual > SETTLED:
        return []
    growth = float("nan")
    if path["specialization"][-1] < SMALL[1] and min(model.hidden, model.M) > 1:
        # whatever the start is called: units are alike, and the question is what becomes of a difference
        seeded = model.replace(alignment=SEED)
        other = integrate(*initial_state(seeded, problem, "gaussian"), times, CAREFUL)
        if other is not None:
            growth = _growth(times, other["specialization"])
    if np.isnan(growth):
        growth = _approach(times, error)
    return [
        CommitteeFixedPoint(
            **{key: float(path[key][-1]) for key in ("eps_g", "V", "specialization")},
            **{key: path[key][-1] for key in ("student_overlap", "teacher_overlap", "output_weights")},
            growth=growth,
            rates=np.array([growth]),
            residual=residual,
            exact=False,
            found_from=name,
        )
    ]


def _growth(times: np.ndarray, size: np.ndarray) -> float:
    """The rate at which an asymmetry grows between the bounds SMALL; at which it shrinks, if it never gets there."""
    late = times > times[-1] / 10
    inside = late & (size > SMALL[0]) & (size < SMALL[1])
    first = np.flatnonzero(size > SMALL[1])
    if first.size:
        inside[first[0] :] = False
    if np.count_nonzero(inside) < 3:
        inside = late & (size > ROUNDING)
        if np.count_nonzero(inside) < 3 or first.size:
            return float("nan")
    return float(np.polyfit(times[inside], np.log(size[inside]), 1)[0])


def _approach(times: np.ndarray, error: np.ndarray) -> float:
    """Minus the rate at which changes of the error die out; not a number if they are all rounding."""
    change = np.abs(np.diff(error)) / np.abs(error).max()
    seen = (change > ROUNDING) & (change < SETTLED)
    if np.count_nonzero(seen) < 5:
        return float("nan")
    # the last stretch on which changes are seen without a break
    last = np.flatnonzero(seen)
    last = last[np.flatnonzero(np.diff(last, prepend=-9) > 1)[-1] :]
    slope = float(np.polyfit(times[last], np.log(change[last]), 1)[0]) if last.size >= 5 else 0.0
    return slope if slope < 0 else float("nan")
