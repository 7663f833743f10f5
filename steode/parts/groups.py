"""Groups of coordinates: weights of several kinds behind one output, such as the groups of a blockwise format."""

import dataclasses

from steode.errors import SpecificationError, check_positive
from steode.parts.laws import Law
from steode.parts.quantizers import EntrywiseMap
from steode.parts.surrogates import ClippedSurrogate, IdentitySurrogate


@dataclasses.dataclass(frozen=True)
class Group:
    """A share of the coordinates, with what they have of their own; what is left out is the model's.

    Parameters
    ----------
    share : fraction of the coordinates, in (0, 1); those of all groups sum to 1.
    teacher, init : laws of the teacher weights and of the initial weights in this group.
    weight_quantizer : map of the latent weights in this group, deterministic.
    surrogate : surrogate derivative of the weights in this group: `IdentitySurrogate` or `ClippedSurrogate`.

    Raises
    ------
    SpecificationError
        If the share is not a positive number below 1, or an argument has the wrong type.
    """

    share: float
    teacher: Law | None = None
    weight_quantizer: EntrywiseMap | None = None
    init: Law | None = None
    surrogate: IdentitySurrogate | ClippedSurrogate | None = None

    def __post_init__(self):
        object.__setattr__(self, "share", check_positive("share", self.share))
        if self.share >= 1:
            raise SpecificationError("share", "a fraction below 1", self.share, "One group is a model without groups.")
        kinds = {
            "teacher": (Law, "a law"),
            "weight_quantizer": (EntrywiseMap, "an entrywise map"),
            "init": (Law, "a law"),
            "surrogate": (IdentitySurrogate | ClippedSurrogate, "IdentitySurrogate or ClippedSurrogate"),
        }
        for name, (kind, expected) in kinds.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise SpecificationError(name, expected, value, "Leave it out to take the model's.")

    @property
    def own(self) -> dict:
        """The fields of a model that are this group's own."""
        names = ("teacher", "weight_quantizer", "init", "surrogate")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def __repr__(self):
        own = "".join(f", {name}={value!r}" for name, value in self.own.items())
        return f"Group({self.share:g}{own})"
