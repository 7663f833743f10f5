"""JAX only: the density equation, moment equations, particles, and the stationary law."""
