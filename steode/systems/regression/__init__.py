"""Linear regression trained by SGD with five quantizers: specification, derivation of the exact risk, simulation."""
