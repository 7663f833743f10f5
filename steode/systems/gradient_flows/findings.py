"""What a study of one system finds: numbers by name, and panels of curves."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Panel:
    """One diagram: `curves` maps labels to (x, y); `logarithmic` names the axes with a logarithmic scale."""

    x: str
    y: str
    curves: dict
    logarithmic: str = ""
    marks: bool = False


@dataclasses.dataclass(frozen=True)
class Findings:
    """`numbers` by name (floats, or lists of them) and `panels`, in order."""

    numbers: dict
    panels: tuple[Panel, ...]
