"""How fast the explorer answers: `python benchmarks/explorer.py`.

Sliders of the reference model are moved to values not seen before; an answer is the finished figure with its numbers.
Time is that of the processor, in the kernel; message and browser are not counted. Compilation is left out.
"""

import statistics
import time

from steode import explore

MOVES = 9


def median_ms(widget, values) -> float:
    """Processor time of one answer, median over the values."""
    spent = []
    for value in values:
        start = time.process_time()
        widget.value = value
        spent.append(1e3 * (time.process_time() - start))
    return statistics.median(spent)


def main() -> None:
    explorer = explore()
    moves = range(MOVES)
    # (method, slider, values): ranges and noises of the two methods differ, so that nothing is known already
    cases = [
        ("density", "range", [1.5 + 0.1 * move for move in moves]),
        ("density", "label noise", [0.1 + 0.1 * move for move in moves]),
        ("gaussian", "range", [1.55 + 0.1 * move for move in moves]),
        ("gaussian", "label noise", [0.15 + 0.1 * move for move in moves]),
    ]
    for method, name, values in cases:
        explorer.method.value = method
        slider = explorer.controls[name]
        slider.value = values[0] + 0.025  # compiles
        print(f"{method}, {name}: {median_ms(slider, values):.0f} ms")
    explorer.method.value = "density"
    print(f"law at another time: {median_ms(explorer.time, [5 + 1.25 * move for move in moves]):.0f} ms")


if __name__ == "__main__":
    main()
