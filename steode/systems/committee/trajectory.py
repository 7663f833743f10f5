"""What `solve` and `simulate` of a committee machine return: a `Trajectory` whose overlaps are matrices."""

import json
import pathlib

import numpy as np
import xarray

from steode import store
from steode.errors import SpecificationError
from steode.systems.committee.configuration import from_dict
from steode.systems.committee.spec import CommitteeModel
from steode.systems.linear.trajectory import Provenance, Snapshots, Trajectory

OBSERVABLES = {
    "eps_g": ("generalization error (V - sigma^2)/2", ()),
    "eps_g_test": ("half the mean squared noiseless residual on held-out inputs", ()),
    "V": ("mean squared residual E(yhat - y)^2", ()),
    "specialization": ("how far each student unit prefers one teacher unit, 0 to 1", ()),
    "student_overlap": ("covariance of the student's pre-activations", ("unit", "other_unit")),
    "teacher_overlap": ("covariance of student's and teacher's pre-activations", ("unit", "teacher_unit")),
    "output_weights": ("output weights v of the student", ("unit",)),
    "level_fraction": ("fraction of the weights of each unit at each level", ("unit", "level")),
}
"""Name -> meaning and axes behind that of time."""


class CommitteeTrajectory(Trajectory):
    """A `Trajectory` of a committee machine; a simulation's observables have an axis of seeds before that of time.

    Observables: "eps_g" and "V"; "specialization", how far each student unit prefers one teacher unit: the largest
    |cosine| less the mean of the others, averaged over units, 0 to 1 (of a teacher of one unit the mean |cosine|);
    "student_overlap" (T, K, K) and "teacher_overlap" (T, K, M), the covariances of pre-activations h and h*;
    "output_weights" (T, K); of quantized weights "level_fraction" (T, K, levels), from particles and runs. Snapshots
    hold weights (seeds, T, K, d) and teacher (seeds, M, d).
    """

    @property
    def model(self) -> CommitteeModel:
        """The specification."""
        return self.provenance.model

    def to_xarray(self) -> xarray.Dataset:
        """The same as a labelled dataset; provenance is a JSON string in its attributes."""
        lead = ("seed", "time") if self.has_seeds else ("time",)
        data = {}
        for name, value in self.observables.items():
            meaning, axes = OBSERVABLES[name]
            data[name] = (lead + axes, np.asarray(value), {"long_name": meaning})
        for name, value in self.error.items():
            data[f"{name}_error"] = (("time", *OBSERVABLES[name][1]), np.asarray(value))
        if self.snapshots is not None:
            data["weights"] = (("seed", "snapshot_time", "unit", "coordinate"), np.asarray(self.snapshots.weights))
            data["teacher_weights"] = (("seed", "teacher_unit", "coordinate"), np.asarray(self.snapshots.teacher))
        coords = {"time": ("time", np.asarray(self.times), {"long_name": "rescaled time tau = step/d"})}
        if self.snapshots is not None:
            coords["snapshot_time"] = self.snapshots.times
        names = ("kind", "method", "specification", "settings", "version", "device")
        parts = {name: getattr(self.provenance, name) for name in names}
        return xarray.Dataset(data, coords, attrs={"provenance": json.dumps(parts, default=repr)})

    def save(self, path: str | pathlib.Path) -> pathlib.Path:
        """Write a netCDF file, which xarray reads; returns the path.

        Raises `SpecificationError` for a name that does not end in .nc, `WriteError` if the disk is full.
        """
        path = store.output_file("path", path, (".nc",))
        return store.write(path, store.netcdf_bytes(self.to_xarray()))

    @classmethod
    def load(cls, path: str | pathlib.Path) -> "CommitteeTrajectory":
        """Read a file written by `save`. Raises `SpecificationError` if it is missing, damaged or not such a file."""
        expected = "a readable trajectory file of a committee machine"
        dataset = store.read_netcdf("path", path, expected)
        arrays = {str(name): variable.values for name, variable in dataset.variables.items()}
        try:
            parts = json.loads(dataset.attrs["provenance"])
            snapshots = None
            if "weights" in arrays:
                snapshots = Snapshots(*(arrays[name] for name in ("snapshot_time", "weights", "teacher_weights")))
            return cls(
                times=arrays["time"],
                observables={name: arrays[name] for name in OBSERVABLES if name in arrays},
                error={name: arrays[f"{name}_error"] for name in OBSERVABLES if f"{name}_error" in arrays},
                density=None,
                snapshots=snapshots,
                provenance=Provenance(**parts, model=from_dict(parts["specification"])),
            )
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            remedy = f"Give a file written by save ({error})."
            raise SpecificationError("path", expected, str(path), remedy) from None
