"""What a system around another one passes on to it; see `steode.engine.engine.System` for the form."""

import equinox as eqx
from jaxtyping import Array, Float, PyTree

from steode.systems.linear.literal.system import LinearSystem


class Around(eqx.Module):
    """A system whose state is that of the system inside, unless `inner` and `outer` say otherwise."""

    system: "LinearSystem | Around"

    @property
    def base(self) -> LinearSystem:
        """The innermost system."""
        return innermost_of(self.system)

    @property
    def dim(self) -> int:
        """Input dimension."""
        return self.system.dim

    @property
    def normals(self) -> int:
        """Standard normal numbers in one step."""
        return self.system.normals

    def inner(self, state: PyTree) -> PyTree:
        """The state of the system inside."""
        return state

    def outer(self, state: PyTree, inner: PyTree) -> PyTree:
        """The state with another one of the system inside."""
        return inner

    def innermost(self, state: PyTree) -> PyTree:
        """The state of the innermost system."""
        inner = self.inner(state)
        return self.system.innermost(inner) if isinstance(self.system, Around) else inner

    def sample(self, teacher, normals) -> tuple:
        """As `LinearSystem.sample`."""
        return self.system.sample(teacher, normals)

    def begin(self, weights: Float[Array, "... d"]) -> PyTree:
        """The state of a run that starts at these weights."""
        return self.system.begin(weights)

    def weights(self, state: PyTree) -> Float[Array, "... d"]:
        """The weights of a state."""
        return self.system.weights(self.inner(state))

    def with_weights(self, state: PyTree, weights: Float[Array, "... d"]) -> PyTree:
        """The state with other weights."""
        return self.outer(state, self.system.with_weights(self.inner(state), weights))

    def step(self, teacher, state: PyTree, sample, index) -> tuple[PyTree, Array]:
        """The state after step `index`, and a number that is finite as long as all is well."""
        inner, health = self.system.step(teacher, self.inner(state), sample, index)
        return self.outer(state, inner), health

    def observe(self, teacher, state: PyTree) -> dict[str, Array]:
        """Observables by name."""
        return self.system.observe(teacher, self.inner(state))

    def held_out(self, teacher, state: PyTree, normals) -> dict[str, Array]:
        """As `LinearSystem.held_out`."""
        return self.system.held_out(teacher, self.inner(state), normals)


def innermost_of(system: LinearSystem | Around) -> LinearSystem:
    """The innermost of nested systems."""
    return system.base if isinstance(system, Around) else system
