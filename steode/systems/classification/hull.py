"""Where the neurons of a class point: does their convex hull hold the origin, and which share of directions is on?"""

import numpy as np
import scipy.optimize
import scipy.spatial
import scipy.special


def spans(vectors: np.ndarray) -> bool:
    """True if 0 lies in the interior of the convex hull of the rows of `vectors` (n, d).

    Then and only then every direction s has a row w with w.s > 0: for every sample some neuron is on. The rows span
    R^d, and 0 is a combination of all of them with positive weights (Davis 1954); a linear program says whether.
    """
    vectors = np.asarray(vectors, float)
    norms = np.linalg.norm(vectors, axis=1)
    unit = vectors[norms > 0] / norms[norms > 0, None]
    count, dimension = unit.shape
    if count <= dimension or np.linalg.matrix_rank(unit, tol=1e-9) < dimension:
        return False
    if dimension == 2:
        angles = np.sort(np.arctan2(unit[:, 1], unit[:, 0]))
        gaps = np.diff(np.append(angles, angles[0] + 2 * np.pi))
        return bool(gaps.max() < np.pi - 1e-9)
    found = scipy.optimize.linprog(np.ones(count), A_eq=unit.T, b_eq=np.zeros(dimension), bounds=(1, None))
    return found.status == 0


def depth(vectors: np.ndarray) -> float:
    """Distance from 0 to the boundary of the convex hull of the rows of `vectors` (n, d); 0 if it does not hold 0.

    It is the smallest, over directions s, of the largest w.s: for every sample of length r some pre-activation is at
    least r times the depth. A class has no loss anywhere if

        min(ceil(r_0 depth), q) >= m + max_i sum_{j for i} min(ceil(r_1 |w_j|), q),

    with w_j the part of the other neurons in its subspace, and m the margin 1/v rounded up (derived here).
    """
    vectors = np.asarray(vectors, float)
    if not spans(vectors):
        return 0.0
    if vectors.shape[1] == 1:
        return float(min(vectors.max(), -vectors.min()))
    return float(-scipy.spatial.ConvexHull(vectors).equations[:, -1].max())


def covering_probability(neurons: int, dimension: int) -> float:
    """Probability that `neurons` directions, drawn from a symmetric law without mass on hyperplanes, cover the sphere.

    1 - 2^(1-n) sum_{k<d} binomial(n - 1, k) (Wendel 1962): what chance gives a class before training.
    """
    missed = sum(scipy.special.comb(neurons - 1, k) for k in range(dimension))
    return float(max(0.0, 1 - missed / 2.0 ** (neurons - 1)))
