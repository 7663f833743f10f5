"""SymPy only: symbols, expectation rules, and the objects a derivation is made of."""
