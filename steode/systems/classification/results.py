"""What `simulate` returns: runs of coarse-gradient training, and their files."""

import dataclasses
import pathlib

import numpy as np
import scipy.stats
import xarray

from steode import store
from steode.errors import SpecificationError, check_path
from steode.systems.classification.configuration import from_toml, to_toml
from steode.systems.classification.hull import spans
from steode.systems.classification.spec import POPULATION, ClassificationModel

MEANINGS = {
    "loss": "hinge loss on fresh samples",
    "error": "share of fresh samples that are misclassified (a tie is an error)",
    "class_loss": "hinge loss on fresh samples of each class",
    "weights": "weights in the coordinates of the subspaces",
    "last_loss": "last step in which a sample had positive loss, 0 for none",
}
"""Name -> meaning."""
AXES = {"weights": ("seed", "step", "neuron", "coordinate"), "class_loss": ("seed", "step", "class"),
        "last_loss": ("seed",)}  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ClassificationRuns:
    """Runs of one specification.

    A run is *perfect* if at the last record no fresh test sample had positive loss. Its time to perfect classification
    is the number of the last step in which a training sample had positive loss: from then on no weight moved, and no
    sample drawn for training had any loss. Without positive loss nothing moves, so that the state is final.

    Attributes
    ----------
    model : the specification.
    steps : numbers of steps after which it was measured, (T,).
    weights : (seeds, T, K, sum of d_i), in the coordinates of the subspaces.
    loss, error : mean hinge loss and share of misclassified samples, on fresh samples, (seeds, T).
    class_loss : (seeds, T, C), mean loss in each class.
    last_loss : (seeds,), last step in which a training sample had positive loss; 0 for none.
    test_samples : fresh samples for each record.
    key : the random key.
    """

    model: ClassificationModel
    steps: np.ndarray
    weights: np.ndarray
    loss: np.ndarray
    error: np.ndarray
    class_loss: np.ndarray
    last_loss: np.ndarray
    test_samples: int
    key: tuple[int, int]

    @property
    def seeds(self) -> int:
        """Number of runs."""
        return self.loss.shape[0]

    @property
    def accuracy(self) -> np.ndarray:
        """1 - error, (seeds, T)."""
        return 1 - self.error

    @property
    def perfect(self) -> np.ndarray:
        """Runs without any loss at the last record, (seeds,)."""
        return self.loss[:, -1] == 0

    @property
    def steps_to_perfect(self) -> np.ndarray:
        """Number of the last step with positive loss, (seeds,); nan for runs that are not perfect."""
        return np.where(self.perfect, self.last_loss, np.nan)

    @property
    def clean_samples(self) -> np.ndarray:
        """Fresh samples without loss that the final weights of each run have met in a row, (seeds,); 0 if not perfect.

        With N of them the share of samples with loss is below 3/N at a confidence of 95 percent.
        """
        # of the population the grid is no fresh sample
        batch = 0 if self.model.batch == POPULATION else self.model.batch
        return np.where(self.perfect, self.test_samples + batch * (self.steps[-1] - self.last_loss), 0)

    def success(self, confidence: float = 0.95) -> tuple[float, float, float]:
        """Share of perfect runs, and the ends of its binomial (Wilson) interval."""
        count = int(self.perfect.sum())
        interval = scipy.stats.binomtest(count, self.seeds).proportion_ci(confidence, method="wilson")
        return count / self.seeds, float(interval.low), float(interval.high)

    def neurons(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """In the subspace of class `number`: weights of its own neurons and of all others, (seeds, T, neurons, d_i)."""
        if number not in range(self.model.classes):
            remedy = "Classes are numbered from 0."
            raise SpecificationError("number", f"a class among 0, ..., {self.model.classes - 1}", number, remedy)
        inside, own = self.weights[..., self.model.blocks[number]], self.model.votes == number
        return inside[:, :, own], inside[:, :, ~own]

    def covered(self, record: int = -1) -> np.ndarray:
        """(seeds, C): 0 lies inside the convex hull of a class's own neurons, at one record."""
        return np.array(
            [[spans(self.neurons(number)[0][seed, record]) for number in range(self.model.classes)]
             for seed in range(self.seeds)]
        )  # fmt: skip

    def __repr__(self) -> str:
        head = f"{self.seeds} runs, surrogate {self.model.surrogate.name}, {self.model.bits} bits: "
        head += f"{int(self.perfect.sum())} perfect"
        if self.perfect.any():
            head += f", after {np.nanmedian(self.steps_to_perfect):.0f} steps (median)"
        shown = np.unique(np.linspace(0, self.steps.size - 1, 9).round().astype(int))
        rows = [f"{'step':>9}{'mean loss':>14}{'mean error':>14}"]
        rows += [f"{self.steps[k]:9d}{self.loss[:, k].mean():14.6g}{self.error[:, k].mean():14.6g}" for k in shown]
        return "\n".join([head, *rows])

    def to_xarray(self) -> xarray.Dataset:
        """All numbers as a dataset."""
        variables = {
            name: (AXES.get(name, ("seed", "step")), getattr(self, name), {"long_name": meaning})
            for name, meaning in MEANINGS.items()
        }
        attributes = {"specification": to_toml(self.model), "test_samples": self.test_samples}
        words = np.array(self.key, np.uint32)
        return xarray.Dataset(variables, {"step": self.steps}, attributes | {"key": words})

    def save(self, path) -> pathlib.Path:
        """Write the dataset to a .nc file; `ClassificationRuns.load` and `xarray.open_dataset` read it."""
        return store.save_netcdf(path, self.to_xarray())

    @classmethod
    def load(cls, path) -> "ClassificationRuns":
        """Read what `save` wrote.

        Raises `SpecificationError` if there is no such file, or it is damaged or another one.
        """
        path, expected = check_path("path", path), "a file that save wrote"
        dataset = store.read_netcdf("path", path, expected)
        try:
            kinds = {"last_loss": "i"}
            found = {
                name: store.values_of(dataset, name, AXES.get(name, ("seed", "step")), kinds.get(name, "f"))
                for name in MEANINGS
            }
            model, steps = from_toml(dataset.attrs["specification"]), store.values_of(dataset, "step", ("step",), "i")
            samples, key = int(dataset.attrs["test_samples"]), tuple(int(word) for word in dataset.attrs["key"])
            if found["weights"].shape[2:] != (model.votes.size, model.blocks[-1].stop) or len(key) != 2:
                raise ValueError("it is of another system")
        except (KeyError, TypeError, ValueError) as error:
            raise SpecificationError("path", expected, str(path), f"Give another ({error}).") from None
        return cls(model, steps, **found, test_samples=samples, key=key)
