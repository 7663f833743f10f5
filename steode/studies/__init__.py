"""Specification files, sweeps over parameters, and reports."""
