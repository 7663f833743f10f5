"""One folder for one system of equations; `steode.regression` and its like are these folders."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules=["binary_relu", "classification", "committee", "gradient_flows", "layer", "regression"]
)
