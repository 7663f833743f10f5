"""The derivation of each specification."""

import functools

from steode.errors import SpecificationError
from steode.systems.gradient_flows import spec
from steode.systems.gradient_flows.derivations.completion import derive_completion
from steode.systems.gradient_flows.derivations.cooccurrence import derive_cooccurrence
from steode.systems.gradient_flows.derivations.potentials import derive_diagonal, derive_sparse
from steode.systems.gradient_flows.derivations.univariate import derive_univariate
from steode.systems.gradient_flows.flow import GradientFlow

MODELS = (
    spec.CooccurrenceModel,
    spec.DiagonalModel,
    spec.SparseModel,
    spec.UnivariateModel,
    spec.CompletionModel,
)
"""Every specification of the room."""


@functools.singledispatch
def derive(model) -> GradientFlow:
    """The gradient flow of a specification, step by step; its numbers but depth and sentence length play no part.

    Raises `SpecificationError` if `model` is none of this room's.
    """
    raise SpecificationError("model", "a specification of steode.gradient_flows", model, "For example DiagonalModel().")


@derive.register
def _(model: spec.CooccurrenceModel) -> GradientFlow:
    return derive_cooccurrence(model.tokens)


@derive.register
def _(model: spec.DiagonalModel) -> GradientFlow:
    return derive_diagonal(model.depth)


@derive.register
def _(model: spec.SparseModel) -> GradientFlow:
    return derive_sparse(model.linear)


@derive.register
def _(model: spec.UnivariateModel) -> GradientFlow:
    return derive_univariate()


@derive.register
def _(model: spec.CompletionModel) -> GradientFlow:
    return derive_completion(model.depth)
