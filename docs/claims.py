"""Write docs/claims.json: published claims, each with a number that is measured here or read from committed results.

    python docs/claims.py          about two minutes

A verdict is computed from the number by the criterion beside it; words say what it does not settle.
"""

import json
import pathlib

import numpy as np

from steode import Constant, LinearModel, Normal, Uniform, fixed_points, plateau, plateau_estimate, simulate, solve
from steode._version import __version__

DOCS = pathlib.Path(__file__).parent
COMMAND = "python docs/claims.py"
GRID = Uniform(bits=2, range=2.0)
REFERENCE = LinearModel(weight_quantizer=GRID, input_quantizer=GRID, teacher=Constant(1.0), learning_rate=0.1)
ICHIKAWA = "The limit in high dimension (Ichikawa and others)"
ZHANG = "Quantized regression (Zhang and others)"
COARSE = "Coarse gradients (Yin, Long and others)"
FOGZO = "Guided zeroth order (Yang, Aamodt)"
FLOWS = "Neighbors: gradient flows"
HOLDS, PARTLY, NOT = "holds", "holds in part", "does not hold"


def numbers(name: str) -> dict:
    return json.loads((DOCS / "images" / f"{name}.json").read_text(encoding="utf-8"))


def deterministic_limit():
    dims = np.array([100, 200, 400, 800])
    spread = [simulate(REFERENCE, int(d), 5.0, seeds=64, times=[5.0])["eps_g"].std(ddof=1) for d in dims]
    slope = float(np.polyfit(np.log(dims), np.log(spread), 1)[0])
    text = f"standard deviation over 64 runs at τ = 5 falls as d to the power {slope:.2f} from d = 100 to 800"
    return "As d grows, error curves follow a deterministic limit.", text, HOLDS if abs(slope + 0.5) < 0.15 else NOT


def cell_model(omega: float) -> LinearModel:
    grid = Uniform(bits=3, range=omega, kind="mid-tread")
    return LinearModel(weight_quantizer=grid, teacher=Constant(1.0), init=Normal(std=0.1), learning_rate=0.02)


def plateau_and_drop():
    ratios, parts = [], []
    for spread in (0.1, 0.01):
        model = cell_model(2.0).replace(init=Normal(std=spread))
        found = plateau(solve(model, 60.0, tolerance=1e-3)).longest
        flat, drop = found.flat_until - found.start, found.end - found.flat_until
        ratios.append(flat / drop)
        parts.append(f"{flat:.1f} flat and {drop:.1f} to halfway down for initial weights of width {spread:g}")
    text = "; ".join(parts) + " (a grid with a level at zero; one without has no plateau)"
    return "There is a plateau, and a sharp drop after it.", text, HOLDS if ratios[1] > max(3, ratios[0]) else PARTLY


def plateau_and_range():
    ranges = (2.0, 3.2, 4.4)
    measured = [plateau(solve(cell_model(omega), 60.0, tolerance=1e-3)).length for omega in ranges]
    predicted = [plateau_estimate(cell_model(omega)).length for omega in ranges]
    ratios = np.array(measured) / ranges
    text = "length " + ", ".join(f"{m:.1f} ({p:.1f} predicted)" for m, p in zip(measured, predicted, strict=True))
    claim = "The length of the plateau is set by the quantization range."
    verdict = HOLDS if np.ptp(ratios) < 0.1 * ratios.mean() else PARTLY
    return claim, f"{text} at ranges 2, 3.2, 4.4: in proportion to the step between levels", verdict


def deviation():
    (point,) = fixed_points(REFERENCE)
    text = f"error {point.eps_g:.4f} at the fixed point, 0 without quantizers: dithering {point.dithering_term:.4f}"
    text += f", inputs {point.input_term:.4f}"
    claim = "The quantized model ends at another error than the unquantized one."
    return claim, text, HOLDS if point.eps_g > 1e-3 else NOT


def large_rates():
    found = numbers("learning_rates")
    largest, last = found["no quantizers"]["largest_learning_rate"], found["weights quantized"]["eps_g"][-1]
    rates = np.array(found["rates"])
    better = np.array(found["weights quantized"]["eps_g"][: np.sum(rates < largest)], dtype=float)
    plain = np.array(found["no quantizers"]["eps_g"][: better.size], dtype=float)
    crossing = rates[: better.size][better < plain]
    text = f"unquantized diverges from η = {largest:.2f}; quantized weights have error {last:.2f} at η = {rates[-1]:g}"
    if crossing.size:
        text += f", and a smaller one than the unquantized from η = {crossing.min():g}"
    verdict = HOLDS if np.isfinite(last) else NOT
    return "Quantized weights are stable at large learning rates.", text, verdict


def additive_and_multiplicative():
    rows = numbers("regression")["dimension"]
    risk = {(row["scheme"], row["d"]): row["exact"]["excess_average"] for row in rows}
    growth = {scheme: risk[scheme, 400] / risk[scheme, 50] for scheme in dict.fromkeys(name for name, _ in risk)}
    text = "excess risk at d = 400 over d = 50: " + ", ".join(f"{name} {value:.1f}" for name, value in growth.items())
    values = list(growth.values())
    claim = "With additive noise the excess risk grows with the dimension, with multiplicative noise it hardly does."
    return claim, text, HOLDS if max(values) > 3 * min(values) else PARTLY


def tightness():
    rows = [row for part in ("noise", "dimension") for row in numbers("regression")[part]]
    ratios = [row["bound_raw"] / row["exact"]["raw_average"] for row in rows]
    text = f"bound over exact risk from {min(ratios):.1f} to {max(ratios):.0f} in {len(ratios)} cases"
    text += "; the bound's form is reconstructed from public summaries"
    return "The bound describes the risk.", text, PARTLY if min(ratios) >= 1 else NOT


def integers_or_floats():
    rows = [row for row in numbers("regression")["crossover"] if row["rule"] is not None]
    gaps = np.array([row["mantissa_bits"] - row["rule"] for row in rows])
    text = f"mantissa bits of equal risk minus the rule's: {gaps.min():.1f} to {gaps.max():.1f} in {gaps.size} cases"
    return "Floating point wins when its mantissa has b - (a/2) log2 d bits.", text, PARTLY if gaps.max() > 1 else HOLDS


def correlation():
    found = numbers("coarse")["correlation"]
    least = min(entry["smallest"] for entry in found.values())
    points = sum(entry["points"] for entry in found.values())
    claim = "Expected coarse gradient and gradient have a nonnegative inner product."
    return claim, f"least {least:.1e} of {points} points and three surrogates", HOLDS if least >= -1e-12 else NOT


def descent():
    found = numbers("coarse")["descent"]
    rises = {name: entry["largest_increase"] for name, entry in found.items()}
    text = "largest rise of the loss in a step: " + ", ".join(
        f"{name} {max(rise, 0):.2g}" for name, rise in rises.items()
    )
    fine = all(rises[name] <= 0 for name in ("relu", "clipped relu"))
    claim = "ReLU and clipped ReLU descend; the identity need not."
    return claim, text, HOLDS if fine and rises["identity"] > 0 else PARTLY


def perfect_classification():
    found = numbers("classification")["surrogates"]
    place = found["bits"].index(2)
    shares = {name: runs[place]["success"] for name, runs in found.items() if name != "bits"}
    text = "perfect at 2 bits, share of runs: " + ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
    claim = "Coarse gradients reach perfect classification with admissible surrogates."
    return (
        claim,
        f"{text}; our reading of an abstract",
        HOLDS if min(shares["relu"], shares["exponential tail"]) > 0.8 else PARTLY,
    )


def cost_with_dimension():
    found = numbers("fogzo_dimension")["exponents"]
    powers = ", ".join(f"{value:.2f} ({name})" for name, value in found.items())
    claim = "Guidance removes the dimension from the cost of zeroth-order training."
    text = f"rescaled time to the error 0.3 grows as d to the power {powers}"
    return claim, text, HOLDS if abs(found["FOGZO"]) < 0.2 < found["SPSA"] else PARTLY


def factor():
    rows = numbers("fogzo_mlp")
    ratios = {row["other"]: row["median"] for row in rows["ratios"] if row["spsa_n"] == 740 and row["median"]}
    best = max((value for name, value in ratios.items() if name.startswith("FOGZO")), default=0.0)
    plain = max((value for name, value in ratios.items() if name.startswith("STE")), default=0.0)
    text = (
        f"{best:,.0f} times fewer passes than SPSA to its loss, on digits; the straight-through estimator {plain:,.0f}"
    )
    claim = "796 times less computation than plain zeroth order at equal loss."
    return claim, f"{text}; the published data set was not run", PARTLY


def bias():
    exponent = numbers("fogzo_linear")["fixed_points"]["exponent"]
    claim = "FOGZO removes the bias of the straight-through gradient."
    text = f"effective rate at the fixed point grows as η to the power {exponent:.2f}, not 1"
    text += "; in this limit it is the straight-through estimator with a rate of its own, and the bias stays"
    # at a fixed share of guidance: the rate changes, where the gradient vanishes does not
    return claim, text, PARTLY if abs(exponent - 1) > 0.1 else NOT


def rich_regime():
    found = numbers("flow_diagonal")["numbers"]
    small = found["scale 0.1: distance from the l1 direction"][-1]
    large = found["scale 100: distance from the l1 direction"][-1]
    text = f"distance from the l1 direction at the last accuracy: {small:.1e} at scale 0.1, {large:.1e} at scale 100"
    return "Diagonal networks: small starts lead to the rich regime early.", text, HOLDS if small < large else NOT


def knots():
    found = numbers("flow_univariate")["numbers"]
    few, many = (found[f"outer/inner {scale}: places that hold 95% of the bending"] for scale in ("10", "0.0001"))
    text = f"95 % of the bending in {few} places at ratio 10, in {many} at ratio 0.0001"
    return "Univariate ReLU networks: the start decides whether knots gather.", text, HOLDS if few < many else NOT


def rank():
    found = numbers("flow_completion")["numbers"]
    two, three = (found[f"depth {depth}: effective rank"][-1] for depth in (2, 3))
    text = f"effective rank at the smallest start: {two:.2f} at depth 2, {three:.2f} at depth 3"
    return "Matrix completion: depth lowers the rank.", text, HOLDS if three < two - 0.1 else NOT


CLAIMS = {
    ICHIKAWA: ((deterministic_limit, COMMAND), (plateau_and_drop, COMMAND), (plateau_and_range, COMMAND),
               (deviation, "steode fixed-points"), (large_rates, "python examples/learning_rates.py")),
    ZHANG: ((additive_and_multiplicative, "python examples/quantized_regression.py"),
            (tightness, "python examples/quantized_regression.py"),
            (integers_or_floats, "python examples/quantized_regression.py")),
    COARSE: ((correlation, "python examples/coarse_gradients.py"), (descent, "python examples/coarse_gradients.py"),
             (perfect_classification, "python examples/classification.py")),
    FOGZO: ((cost_with_dimension, "python examples/fogzo_dimension.py"), (factor, "python examples/fogzo_mlp.py"),
            (bias, "python examples/fogzo_linear.py")),
    FLOWS: ((rich_regime, "steode run examples/flow_diagonal.toml"),
            (knots, "steode run examples/flow_univariate.toml"), (rank, "steode run examples/flow_completion.toml")),
}  # fmt: skip

if __name__ == "__main__":
    found = []
    for section, entries in CLAIMS.items():
        for measure, command in entries:
            claim, text, verdict = measure()
            found.append({"section": section, "claim": claim, "found": text, "verdict": verdict, "command": command})
            print(f"{verdict:14} {claim} {text}", flush=True)
    content = {"version": __version__, "made by": COMMAND, "claims": found}
    (DOCS / "claims.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
