"""What `solve` and `simulate` return: named observables over time, with where they came from.

The limit and the simulation share this type, so that comparing and plotting never ask which made it.
"""

import dataclasses
import json
import pathlib

import equinox as eqx
import jax
import lazy_loader
import numpy as np

from steode import store
from steode.errors import SpecificationError, check_path
from steode.parts.schedule import check_writable
from steode.systems.linear.configuration import from_dict
from steode.systems.linear.observables import COLUMNS, OBSERVABLES
from steode.systems.linear.spec import LinearModel

# half of a second to import, and not needed before a file is
xarray = lazy_loader.load("xarray")

SUFFIXES = (".nc", ".npz")
"""Of files that hold a trajectory."""


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where a trajectory came from: enough to make it again.

    `specification` is the model as a nested dict (see `steode.parts.configuration`), `settings` the remaining
    arguments. A learning-rate schedule given by a function is kept as that function, so that the model can be made
    again as long as the program runs. `model` is the specification itself, where it is at
    hand: not after reading a file.
    """

    kind: str
    method: str
    specification: dict = dataclasses.field(hash=False)
    settings: dict = dataclasses.field(hash=False)
    version: str
    device: str
    model: LinearModel | None = dataclasses.field(default=None, compare=False, repr=False)


class Density(eqx.Module):
    """Law of the latent weight given the teacher weight, mu_tau(w | w*), at requested times.

    `masses` holds the probability in the control volume of each node, so that they sum to 1 over the nodes; dividing by
    `volumes` gives the density. Frozen weights (clipped surrogate) are atoms in the same array.
    """

    times: np.ndarray  # (T,)
    nodes: np.ndarray  # (N,)
    volumes: np.ndarray  # (N,)
    teacher: np.ndarray  # (K,) teacher values w*
    weights: np.ndarray  # (K,) their probabilities
    masses: np.ndarray  # (T, K, N)

    @property
    def values(self) -> np.ndarray:
        """mu_tau(w | w*), shape (T, K, N)."""
        return self.masses / self.volumes

    @property
    def marginal(self) -> np.ndarray:
        """Density of w averaged over the teacher law, shape (T, N)."""
        return np.einsum("k,tkn->tn", self.weights, self.values)


class Snapshots(eqx.Module):
    """Weights of a finite-dimensional run at requested times.

    `times` has shape (T,), `weights` (seeds, T, d), `teacher` (seeds, d); the first time is 0.
    """

    times: np.ndarray  # (T,)
    weights: np.ndarray  # (S, T, d)
    teacher: np.ndarray  # (S, d)


class Trajectory(eqx.Module):
    """Observables over rescaled time tau = step/d.

    Attributes
    ----------
    times : shape (T,), increasing.
    observables : name -> array of shape (T, ...) for a limit, (S, T, ...) for a simulation of S seeds.
    error : name -> estimated absolute discretization error, shape (T, ...); empty where there is no estimate.
    density, snapshots : laws or weights at requested times, or None.
    provenance : specification, method, settings, version and device.
    """

    times: np.ndarray
    observables: dict[str, np.ndarray]
    error: dict[str, np.ndarray]
    density: Density | None
    snapshots: Snapshots | None
    provenance: Provenance = eqx.field(static=True)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.observables:
            expected = "one of " + ", ".join(self.observables)
            raise SpecificationError("observable", expected, name, f"Method {self.provenance.method!r} computes these.")
        return self.observables[name]

    @property
    def model(self) -> LinearModel:
        """The specification: the object itself, or made again from a file.

        Raises `SpecificationError` if a file names a class that is not steode's, such as a quantizer of your own.
        """
        if self.provenance.model is not None:
            return self.provenance.model
        try:
            return from_dict(self.provenance.specification, folder=None)
        except SpecificationError as error:
            if not error.argument.endswith(".type"):
                raise
            expected = "a specification made of steode's own classes"
            remedy = "A file holds no more of a class of yours than its name: solve or simulate again."
            raise SpecificationError(error.argument, expected, error.received, remedy) from None

    @property
    def has_seeds(self) -> bool:
        """True if observables carry a leading axis of seeds."""
        return self.provenance.kind == "simulation"

    def mean(self, name: str) -> np.ndarray:
        """The observable averaged over seeds (itself for a limit), shape (T, ...)."""
        return self[name].mean(axis=0) if self.has_seeds else self[name]

    def __repr__(self) -> str:
        seeds = f", {self['eps_g'].shape[0]} seeds" if self.has_seeds else ""
        final = float(self.mean("eps_g")[-1])
        span = f"tau {self.times[0]:g} to {self.times[-1]:g} at {self.times.size} times"
        return f"Trajectory({self.provenance.kind} by {self.provenance.method}{seeds}; {span}; final eps_g {final:.5f})"

    def to_xarray(self) -> "xarray.Dataset":
        """The same as a labelled dataset; provenance is a JSON string in its attributes (functions by their names)."""
        lead = ("seed", "time") if self.has_seeds else ("time",)
        data = {name: _labelled(name, lead, value) for name, value in self.observables.items()}
        data |= {f"{name}_error": _labelled(name, ("time",), value) for name, value in self.error.items()}
        coords = {"time": ("time", np.asarray(self.times), {"long_name": "rescaled time tau = step/d"})}
        if self.density is not None:
            density = self.density
            data["mass"] = (("density_time", "teacher", "node"), np.asarray(density.masses))
            data["volume"] = ("node", np.asarray(density.volumes))
            data["teacher_probability"] = ("teacher", np.asarray(density.weights))
            coords |= {"density_time": density.times, "node": density.nodes, "teacher": density.teacher}
        if self.snapshots is not None:
            data["weights"] = (("seed", "snapshot_time", "coordinate"), np.asarray(self.snapshots.weights))
            data["teacher_weights"] = (("seed", "coordinate"), np.asarray(self.snapshots.teacher))
            coords["snapshot_time"] = self.snapshots.times
        fields = [field.name for field in dataclasses.fields(self.provenance) if field.name != "model"]
        parts = {name: getattr(self.provenance, name) for name in fields}
        return xarray.Dataset(data, coords, attrs={"provenance": json.dumps(parts, default=repr)})

    def save(self, path: str | pathlib.Path) -> pathlib.Path:
        """Write a .nc (netCDF4) or .npz file, chosen by the suffix; returns the path.

        The file appears whole or not at all, with a checksum (docs/reliability.md). Raises `SpecificationError` for
        another suffix or a place where no file can be, `WriteError` if the disk is full, `UnsupportedError` for a
        learning-rate schedule that is given by a function.
        """
        path = store.output_file("path", path, SUFFIXES)
        check_writable(self.provenance.specification)
        dataset = self.to_xarray()
        if path.suffix == ".nc":
            return store.write(path, store.netcdf_bytes(dataset))
        arrays = {str(name): np.asarray(variable.values) for name, variable in dataset.variables.items()}
        provenance = {"provenance": np.array(dataset.attrs["provenance"])}
        return store.write(path, store.npz_bytes(provenance | arrays, compressed=True))

    def to_csv(self, path: str | pathlib.Path) -> pathlib.Path:
        """Write times and observables as a table (.csv), one row for each time; returns the path.

        Of a limit: every observable, and its estimated error where there is one. Of a simulation: mean and standard
        error over seeds (nan for one seed). Raises as `save`; what `load` reads is written by `save`.
        """
        columns = {"tau": self.times}
        for name in self.observables:
            for part, values in _columns(name, np.asarray(self.mean(name))):
                columns[part] = values
            error = self.error.get(name)
            if self.has_seeds:
                seeds = self[name].shape[0]
                error = self[name].std(axis=0, ddof=1) / np.sqrt(seeds) if seeds > 1 else np.nan * self[name][0]
            if error is not None:
                columns |= dict(_columns(f"{name}_error", np.asarray(error)))
        return store.write(store.output_file("path", path, (".csv",)), store.csv_bytes(columns))

    @classmethod
    def load(cls, path: str | pathlib.Path) -> "Trajectory":
        """Read a file written by `save`. Raises `SpecificationError` if it is missing, damaged or not such a file."""
        path = check_path("path", path)
        if path.suffix not in SUFFIXES:
            expected = "a file name ending in " + " or ".join(SUFFIXES)
            raise SpecificationError("path", expected, str(path), "Choose one of them.")
        expected = "a readable trajectory file"
        if path.suffix == ".nc":
            dataset = store.read_netcdf("path", path, expected)
            arrays = {str(name): variable.values for name, variable in dataset.variables.items()}
            provenance = dataset.attrs.get("provenance")
        else:
            arrays = store.read_npz("path", path, expected)
            provenance = str(arrays.pop("provenance", ""))
        try:
            return _from_arrays(arrays, Provenance(**json.loads(provenance)))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            remedy = f"Give a file written by Trajectory.save ({error})."
            raise SpecificationError("path", expected, str(path), remedy) from None


def _columns(name: str, values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Columns of a table: one for a number over time, one for each level of what has levels."""
    flat = values.reshape(values.shape[0], -1)
    return [(name if flat.shape[1] == 1 else f"{name}_{index}", column) for index, column in enumerate(flat.T)]


def _labelled(name: str, lead: tuple[str, ...], value) -> tuple:
    value = np.asarray(value)
    dims = (*lead, COLUMNS[name]) if value.ndim > len(lead) else lead
    return dims, value, {"long_name": OBSERVABLES[name]}


AXES = {
    "time": ("time",),
    "density_time": ("density_time",),
    "node": ("node",),
    "volume": ("node",),
    "teacher": ("teacher",),
    "teacher_probability": ("teacher",),
    "mass": ("density_time", "teacher", "node"),
    "snapshot_time": ("snapshot_time",),
    "weights": ("seed", "snapshot_time", "coordinate"),
    "teacher_weights": ("seed", "coordinate"),
}
"""Of what a file holds beside observables and their errors."""


def _check_arrays(arrays: dict[str, np.ndarray], provenance: Provenance) -> None:
    """Raise `ValueError` unless the arrays of a file hold numbers, on axes that fit together."""
    if provenance.kind not in ("limit", "simulation") or not isinstance(provenance.settings, dict):
        raise ValueError("its provenance is not that of a trajectory")
    lead, sizes = ("seed", "time") if provenance.kind == "simulation" else ("time",), {}
    for name, array in arrays.items():
        observable = name if name in OBSERVABLES else name.removesuffix("_error")
        axes = AXES.get(name) or ((lead if name == observable else ("time",)) if observable in OBSERVABLES else None)
        if axes is None or array.dtype.kind not in "fiu":
            raise ValueError(f"{name} is none of its arrays of numbers")
        if observable in COLUMNS and array.ndim > len(axes):
            axes = (*axes, COLUMNS[observable])
        fits = array.ndim == len(axes)
        if not fits or any(sizes.setdefault(axis, size) != size for axis, size in zip(axes, array.shape, strict=True)):
            raise ValueError(f"{name} has shape {array.shape}, which does not fit the rest")
    if not arrays["time"].size or not np.all(np.diff(arrays["time"]) > 0):
        raise ValueError("its times do not increase")


def _from_arrays(arrays: dict[str, np.ndarray], provenance: Provenance) -> Trajectory:
    _check_arrays(arrays, provenance)
    density = snapshots = None
    if "mass" in arrays:
        names = ("density_time", "node", "volume", "teacher", "teacher_probability", "mass")
        density = Density(*(arrays[name] for name in names))
    if "weights" in arrays:
        snapshots = Snapshots(*(arrays[name] for name in ("snapshot_time", "weights", "teacher_weights")))
    return Trajectory(
        times=arrays["time"],
        observables={name: arrays[name] for name in OBSERVABLES if name in arrays},
        error={name: arrays[f"{name}_error"] for name in OBSERVABLES if f"{name}_error" in arrays},
        density=density,
        snapshots=snapshots,
        provenance=provenance,
    )


def device_name() -> str:
    """The JAX device results are computed on, for provenance."""
    device = jax.devices()[0]
    return f"{device.platform}: {device.device_kind}"
