"""Two linear layers with a binarized ReLU and Gaussian input: specification, derivation, simulation."""
