"""One folder for one system of equations."""
