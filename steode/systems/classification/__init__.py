"""Classes in orthogonal subspaces, two linear layers with a quantized ReLU: specification, derivation, simulation."""
