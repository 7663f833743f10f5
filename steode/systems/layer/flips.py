"""How often weights change their level, at the fixed points of a layer."""

import jax
import numpy as np
import scipy.special

from steode.systems.layer.fixed_points import row_equations
from steode.systems.layer.product_law import mean_square
from steode.systems.layer.spec import LayerModel


def flip_rate(model: LayerModel, V: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Level changes of a weight in a unit of tau = step/d, mean of each row, (rows,).

    A step of size |delta| crosses a threshold with the probability |delta| times the density there, and integrating by
    parts, E (Q - a)^2 = (theta/2) step sum_k mu(T_k). So

        rate_i = 2 sqrt(d) B c_B sqrt((K_q)_ii/V) E (Q_i - a_i)^2/step_i,

    with c_B = E|sum_b e_b z_b|/B for standard normal numbers: 2/pi for one sample. Derived here, for Gaussian inputs
    and small steps.

    Parameters
    ----------
    V : residual variance of each row, (rows,).
    best : mean quantized weights, (rows, d).
    """
    grid, batch = model.grid, model.batch_size
    equations = row_equations(model, grid, best, np.zeros(model.rows))
    reach, sharp = equations.reach(float(V.max()))
    temperature = np.maximum(equations.heat * V[:, None] / equations.square, 1e-300)
    with jax.enable_x64(True):
        square = np.asarray(mean_square(equations.position, temperature, grid.count, reach, sharp))
    square = np.where(equations.weight > 0, square, 0.0) * np.sqrt(equations.square)
    gamma = np.exp(scipy.special.gammaln((batch + 1) / 2) - scipy.special.gammaln(batch / 2))
    factor = 4 / np.sqrt(np.pi) * gamma * np.sqrt(model.dim)
    moving = np.where(V > 0, 1 / np.sqrt(np.maximum(V, 1e-300)), 0.0)
    return factor * moving * (square @ np.sqrt(np.diag(model.inputs.image))) / model.dim
