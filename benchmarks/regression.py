"""Time of the exact risk of quantized regression, and of its simulation beside a plain NumPy loop, in one run.

    python benchmarks/regression.py

The plain programs are written from the update and from the recursion in steode's documentation, as a user would write
them, and share nothing with steode. Times exclude compilation, which is printed apart. Plain programs are timed on
fewer steps and scaled, for they are linear in them.
"""

import time

import jax
import numpy as np

from steode import regression
from steode.parts.spectrum import PowerLaw

DIM, STEPS = 10_000, 100_000
SIMULATED = ((200, 4000), (2000, 1000), (10_000, 400))
SEEDS = 8
NOISE = 1e-3


def model_of(dim: int, scheme: str = "additive") -> regression.RegressionModel:
    model = regression.RegressionModel(spectrum=PowerLaw(2.0, dim), step_size=0.05, batch_size=1)
    return regression.quantize(model, scheme, NOISE / 10 if dim > 1000 else NOISE)


def plain_risk(model: regression.RegressionModel, steps: int) -> float:
    """Excess of the average by the additive recursion in NumPy, scaled to nothing: for the time of one step."""
    gamma, batch = model.step_size, model.batch_size
    epsilon = model.data_quantizer.noise_variance
    eigenvalues, teacher = model.eigenvalues, model.teacher_weights
    seen = eigenvalues + epsilon
    best = eigenvalues * teacher / seen
    noise = model.noise**2 + 3 * epsilon + (eigenvalues * teacher**2).sum() - (seen * best**2).sum()
    decay = 1 - gamma * seen
    square, overlap, total = best**2, np.zeros_like(best), np.zeros_like(best)
    own = 1 - 2 * gamma * seen + gamma**2 * (1 + 1 / batch) * seen**2
    fixed = gamma**2 * (seen * noise / batch + epsilon * ((1 + 1 / batch) * seen**2 + seen * seen.sum() / batch))
    for _ in range(steps):
        total += 2 * overlap + square
        overlap = decay * (overlap + square)
        square = own * square + gamma**2 / batch * seen * (seen @ square) + fixed
    return float(seen @ total / steps**2 / 2)


def plain_simulation(model: regression.RegressionModel, steps: int, seed: int) -> float:
    """Risk on raw inputs of the average, of one run of the update in NumPy."""
    random = np.random.default_rng(seed)
    noises = {role: quantizer.noise_variance**0.5 for role, quantizer in model.quantizers.items()}
    deviations, teacher, batch = np.sqrt(model.eigenvalues), model.teacher_weights, model.batch_size
    weights, average = model.initial_weights.copy(), np.zeros(model.dim)

    def noisy(values, role):
        return values + noises[role] * random.standard_normal(values.shape)

    for _ in range(steps):
        average += weights
        inputs = deviations * random.standard_normal((batch, model.dim))
        labels = inputs @ teacher + model.noise * random.standard_normal(batch)
        seen = noisy(inputs, "data")
        activation = noisy(seen @ noisy(weights, "parameter"), "activation")
        weights = weights + model.step_size / batch * noisy(noisy(labels, "label") - activation, "gradient") @ seen
    return float(((deviations * (average / steps - teacher)) ** 2).sum() / 2)


def timed(function):
    """Result, first time and second time, in seconds."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return result, *seconds


def main() -> None:
    """Print one row a program."""
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}")
    print(f"exact risk, d = {DIM}, {STEPS} steps, last iterate and average")
    for scheme in ("additive", "multiplicative", "common"):
        model = model_of(DIM, scheme)
        result, first, again = timed(lambda model=model: regression.risk(model, STEPS, record=[STEPS]))
        value = result["excess_average"][-1]
        print(f"  {scheme:<16} first {first:6.2f} s   again {again:6.2f} s   excess {value:.6g}")
    part = STEPS // 50
    _, _, seconds = timed(lambda: plain_risk(model_of(DIM), part))
    print(f"  {'NumPy, additive':<16} {50 * seconds:6.2f} s, scaled from {part} steps")
    small = model_of(DIM)
    print(f"  agreement on {part} steps: {plain_risk(small, part):.10g}, ", end="")
    print(f"{regression.risk(small, part, record=[part])['excess_average'][0]:.10g}")
    print(f"simulation, all five quantizers additive, {SEEDS} seeds")
    for dim, steps in SIMULATED:
        model = model_of(dim)
        runs, first, again = timed(
            lambda model=model, steps=steps: regression.simulate(model, steps, seeds=SEEDS, record=[steps])
        )
        _, _, seconds = timed(lambda model=model, steps=steps: plain_simulation(model, steps, 0))
        plain = SEEDS * seconds
        value = runs.mean("raw_average")[0]
        print(f"  d = {dim:6d}, {steps:5d} steps: steode first {first:5.2f} s, again {again:5.2f} s; ", end="")
        print(f"NumPy {plain:6.2f} s (ratio {plain / again:.1f}); risk {value:.4g}")


if __name__ == "__main__":
    main()
