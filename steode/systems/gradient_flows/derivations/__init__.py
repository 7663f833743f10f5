"""The derivations: one file for each system, SymPy only."""
