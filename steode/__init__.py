"""steode: what the straight-through estimator does in high dimension, derived, solved and checked."""
