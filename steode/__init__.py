"""steode: what the straight-through estimator does in high dimension, derived, solved and checked.

model -> derive -> Limit          the equations, step by step
model -> solve -> Trajectory      the limit in numbers
model -> fixed_points              where it ends up, and why
sweep(model, axes) -> Dataset      measures over a grid of parameters
model -> simulate -> Trajectory   online SGD in finite dimension
model -> fluctuations             how far runs scatter around the limit
compare(theory, runs)             the two against each other
"""

import lazy_loader

# names stand in __init__.pyi; each is imported when it is first asked for
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
