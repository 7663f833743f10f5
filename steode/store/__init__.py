"""Files: where they may be written, how they appear, and what is read back.

A file appears whole or not at all. Data carry a checksum, and are believed only if that agrees. netCDF and .npz
contents are made and read in memory, so that HDF5 never meets a full disk or a damaged file.
"""

import os
import pathlib
from typing import TYPE_CHECKING

from steode.store.atomic import remove_parts, write
from steode.store.contents import netcdf_bytes, npz_bytes, read_netcdf, read_npz, values_of
from steode.store.outputs import output_file, output_folder
from steode.store.tables import csv_bytes

if TYPE_CHECKING:
    import xarray

__all__ = [
    "csv_bytes",
    "netcdf_bytes",
    "npz_bytes",
    "output_file",
    "output_folder",
    "read_netcdf",
    "read_npz",
    "remove_parts",
    "save_netcdf",
    "values_of",
    "write",
]


def save_netcdf(path: str | os.PathLike, dataset: "xarray.Dataset") -> pathlib.Path:
    """Write a dataset to a .nc file; returns the path.

    Raises `SpecificationError` for another suffix or where no file can be, `WriteError` if it cannot be written.
    """
    return write(output_file("path", path, (".nc",)), netcdf_bytes(dataset))
