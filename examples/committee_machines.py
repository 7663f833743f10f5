"""What quantized weights do to a committee machine: the plateau, its end, and what is left after it.

    python examples/committee_machines.py --out docs/images/committee

Two erf units learn from two of an orthonormal teacher, learning rate 0.5, noise 0.1, weights from N(0, 0.25) plus a
fifth of the unit's own teacher weights, unless said otherwise. Limits are the exact equations of the overlaps where
weights are not quantized and 8 populations of particles (`steode.solve`) where they are; runs are 4 of dimension 500.

- escape: the time at which the specialization passes 0.5, against range and bits;
- floor: eps_g from a start at the teacher after tau = 15/eta, averaged over the last third, beside twice the error of
  a single unit that learns from one;
- variants: more hidden units than the teacher, quantized inputs, trained output weights, each with runs.

Written: OUT.json with every number, OUT_plateau.png, OUT_floor.png and OUT_variants.png. Of a JSON that is there
nothing is computed again: remove it, or one of its parts. Takes some minutes on two cores.
"""

import argparse
import json
import pathlib

import numpy as np
from matplotlib.figure import Figure

from steode import Identity, Normal, Uniform, committee
from steode.plot import style

BASE = committee.CommitteeModel(learning_rate=0.5, noise=0.1, init=Normal(std=0.5), alignment=0.2)
BITS, RANGES, RATES = (2, 3, 4), (1.0, 1.5, 2.0, 3.0), (0.1, 0.3, 0.5)
COUNT, RUNS, DIM, SEEDS = 4000, {"tolerance": 0.1}, 500, 4
LONG = np.linspace(0, 100, 101)


def grid(bits: int | None, extent: float = 2.0):
    """The weights' quantizer; none for no bits."""
    return Identity() if bits is None else Uniform(bits=bits, range=extent)


def limit(model, times):
    """The limit at these times."""
    options = RUNS | {"count": COUNT} if model.quantizes_weights else {}
    return committee.solve(model, float(times[-1]), times=times, **options)


def escape(found) -> float | None:
    """The time at which the specialization passes 0.5, None if it does not."""
    above = np.flatnonzero(found["specialization"] >= 0.5)
    if not above.size or above[0] == 0:
        return None
    pair = slice(above[0] - 1, above[0] + 1)
    return float(np.interp(0.5, found["specialization"][pair], found.times[pair]))


def plateaus() -> dict:
    """Curves at range 2, and escape times at all ranges."""
    curves, times = {}, {}
    for bits in (None, *BITS):
        for extent in (2.0,) if bits is None else RANGES:
            found = limit(BASE.replace(weight_quantizer=grid(bits, extent)), LONG)
            times[f"{bits} {extent:g}"] = escape(found)
            print(f"bits {bits} range {extent:g}: leaves at {times[f'{bits} {extent:g}']}", flush=True)
            if extent == 2.0:
                curves[str(bits)] = {name: found[name].tolist() for name in ("eps_g", "specialization")}
    return {"times": LONG.tolist(), "curves": curves, "escape": times}


def floor(model) -> tuple[float, float]:
    """eps_g at the end from a start at the teacher, and the error of the last value."""
    times = np.linspace(0, 15 / model.learning_rate, 31)
    found = limit(model.replace(alignment=1.0, init=Normal(std=0.1)), times)
    late = times >= times[20]
    return float(found["eps_g"][late].mean()), float(found.error["eps_g"][-1])


def floors() -> list[dict]:
    """Committee and single unit over bits, ranges and rates."""
    rows = []
    for bits in (None, *BITS):
        for extent in (2.0,) if bits is None else RANGES:
            for rate in RATES if extent == 2.0 else (0.5,):
                model = BASE.replace(weight_quantizer=grid(bits, extent), learning_rate=rate)
                both, error = floor(model)
                single, _ = floor(model.replace(hidden=1, teacher_hidden=1))
                rows.append({"bits": bits, "range": extent, "rate": rate, "committee": both, "error": error})
                rows[-1]["twice the single unit"] = 2 * single
                print(f"bits {bits} range {extent:g} rate {rate:g}: {both:.5f} beside {2 * single:.5f}", flush=True)
    return rows


VARIANTS = {
    "K = M = 2": {},
    "K = 3": {"hidden": 3},
    "K = 4": {"hidden": 4},
    "inputs of 2 bits": {"input_quantizer": Uniform(bits=2, range=2.0)},
    "output weights trained": {"output_learning_rate": 0.5, "output_weights": 0.5},
}


def variants() -> dict:
    """Limit and runs of every variant, weights of 3 bits with range 2 and not quantized."""
    times = LONG[::4]
    found = {}
    for name, changes in VARIANTS.items():
        for bits in (None, 3):
            model = BASE.replace(weight_quantizer=grid(bits), **changes)
            theory = limit(model, times)
            runs = committee.simulate(model, DIM, float(times[-1]), seeds=SEEDS, times=times, progress=False)
            found[f"{name}, {bits} bits"] = {
                "limit": theory["eps_g"].tolist(),
                "runs": runs.mean("eps_g").tolist(),
                "scatter": (runs["eps_g"].std(axis=0, ddof=1) / SEEDS**0.5).tolist(),
                "specialization": theory["specialization"].tolist(),
                "escape": escape(theory),
            }
            print(
                f"{name}, {bits} bits: ends at {theory['eps_g'][-1]:.5f}, runs {runs.mean('eps_g')[-1]:.5f}", flush=True
            )
    return {"times": times.tolist(), "curves": found}


def draw(data: dict, out: pathlib.Path) -> None:
    """The three figures."""
    figures = {"plateau": _plateau(data["plateaus"]), "floor": _floor(data["floors"]), "variants": _variants(data)}
    for name, figure in figures.items():
        figure.savefig(out.with_name(f"{out.name}_{name}.png"), dpi=130)


def _panels() -> tuple:
    figure = Figure(figsize=(9.0, 3.5), layout="constrained")
    return figure, *map(style.axes, figure.subplots(1, 2))


def _label(bits) -> str:
    return "not quantized" if bits in (None, "None") else f"{bits} bits"


@style.styled
def _plateau(data: dict) -> Figure:
    figure, left, right = _panels()
    for number, (bits, curve) in enumerate(data["curves"].items()):
        left.plot(data["times"], curve["eps_g"], label=_label(bits), **style.look(number))
    left.set(yscale="log", xlabel=style.TIME, ylabel=style.SYMBOLS["eps_g"], title="range 2")
    style.legend(left)
    for number, bits in enumerate(BITS):
        times = [data["escape"][f"{bits} {extent:g}"] for extent in RANGES]
        look = style.look(number + 1)
        right.plot(RANGES, [np.nan if time is None else time for time in times], "o", label=_label(bits), **look)
    right.axhline(data["escape"]["None 2"], color=style.GRAY, label="not quantized")
    right.set(xlabel=r"range $\omega$", ylabel="time to leave the plateau")
    style.legend(right)
    return figure


@style.styled
def _floor(rows: list[dict]) -> Figure:
    figure, left, right = _panels()
    for number, bits in enumerate((None, *BITS)):
        look = style.look(number)
        mine = [row for row in rows if row["bits"] == bits]
        along = [row for row in mine if row["rate"] == 0.5]
        slow = [row for row in mine if row["range"] == 2.0]
        for ax, chosen, axis in ((left, along, "range"), (right, slow, "rate")):
            if ax is left and bits is None:
                left.axhline(chosen[0]["committee"], color=style.GRAY, label=_label(None))
                continue
            x = [row[axis] for row in chosen]
            ax.plot(x, [row["committee"] for row in chosen], "o", label=_label(bits), **look)
            ax.plot(x, [row["twice the single unit"] for row in chosen], "x", color=look["color"], linestyle="none")
    left.set(yscale="log", xlabel=r"range $\omega$", ylabel=style.SYMBOLS["eps_g"], title="rate 0.5")
    right.set(yscale="log", xlabel=r"learning rate $\eta$", title="range 2; crosses: twice a single unit")
    style.legend(right)
    return figure


@style.styled
def _variants(data: dict) -> Figure:
    figure, left, right = _panels()
    found, times = data["variants"]["curves"], data["variants"]["times"]
    for ax, bits in ((left, None), (right, 3)):
        for number, name in enumerate(VARIANTS):
            curve, look = found[f"{name}, {bits} bits"], style.look(number)
            ax.plot(times, curve["limit"], label=name, **look)
            ax.errorbar(times[::3], curve["runs"][::3], curve["scatter"][::3], fmt=".", color=look["color"])
        ax.set(yscale="log", xlabel=style.TIME, title=_label(bits))
    left.set_ylabel(style.SYMBOLS["eps_g"])
    style.legend(left)
    return figure


def main() -> None:
    """Compute, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    given = parser.parse_args()
    file = given.out.with_suffix(".json")
    data = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for name, part in {"plateaus": plateaus, "floors": floors, "variants": variants}.items():
        if name not in data:
            data[name] = part()
            file.write_text(json.dumps(data) + "\n", encoding="utf-8")
    draw(data, given.out)


if __name__ == "__main__":
    main()
