"""What somebody probably meant: the nearest of the words that fit, and where a word is known instead."""

from collections.abc import Iterable, Mapping

LONGEST = 100
"""Characters of a word that are compared."""
OTHER_NAMES = {
    "adamw": "Adam",
    "d": "dim",
    "density_times": "snapshot_times",
    "dimension": "dim",
    "eta": "learning_rate",
    "gaussian": "Normal",
    "lr": "learning_rate",
    "n_bits": "bits",
    "guassian": "Normal",
    "none": "Identity",
    "num_bits": "bits",
    "rademacher": "TwoPoint",
    "seed": "seeds",
    "sgd": "STE",
    "sigma": "noise",
    "step_size": "learning_rate",
    "t_max": "t_end",
    "uniform": "UniformLaw",
    "wd": "weight_decay",
}
"""What things are called elsewhere, in small letters -> here; of use only where that fits."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """The remedy for an unknown word: the nearest of the known ones that fit, if any is near."""
    found = nearest(word, known)
    return f"Did you mean {found!r}?" if found else "Check the spelling."


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word at the smallest edit distance, where that is small beside its length; None otherwise.

    Capitals do not count, nor do hyphens and spaces beside underscores. A word that something is called elsewhere
    stands for ours, and a part of exactly one known word for that.
    """
    known, asked = list(known), _plain(word[:LONGEST])
    if OTHER_NAMES.get(asked) in known:
        return OTHER_NAMES[asked]
    distances = [(edit_distance(asked, _plain(other[:LONGEST])), number) for number, other in enumerate(known)]
    least, number = min(distances, default=(len(asked) + 1, 0))
    if known and (least == 0 or (len(asked) > 2 and least <= max(1, min(len(asked), len(known[number])) // 3))):
        return known[number]
    within = [other for other in known if len(asked) > 2 and asked in _plain(other)]
    return within[0] if len(within) == 1 else None


def edit_distance(first: str, second: str) -> int:
    """Letters to insert, delete, replace, or exchange with a neighbor, to make one word of the other."""
    before, row = [], list(range(len(second) + 1))
    for i, letter in enumerate(first, start=1):
        before, last, row = row, before, [i]
        for j, other in enumerate(second, start=1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other)))
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                row[j] = min(row[j], last[j - 2] + 1)
    return row[-1]


def home(key: str, tables: Mapping[str, Iterable[str]]) -> str | None:
    """The remedy for a key that stands in the wrong table of a file; None if no table has it.

    `tables` maps the names of the other tables to the keys that they have.
    """
    for name, keys in tables.items():
        if key in keys:
            return (
                f"It is an entry of [{name}]: write it below that header; on the command line, --set {name}.{key}=..."
            )
    return None


def _plain(word: str) -> str:
    return word.lower().replace("-", "_").replace(" ", "_")
