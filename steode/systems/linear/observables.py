"""Names and meanings of what a trajectory of the linear system may hold."""

OBSERVABLES = {
    "eps_g": "generalization error (V - sigma^2)/2",
    "eps_g_test": "half the mean squared noiseless residual on held-out inputs",
    "V": "mean squared residual E(yhat - y)^2",
    "m": "teacher overlap E[alpha_1 w* Q(w)]",
    "q": "self overlap E[alpha_2 Q(w)^2]",
    "mean_w": "mean latent weight",
    "std_w": "standard deviation of the latent weights over coordinates",
    "eps_g_by_group": "each group's part of the generalization error of a linear output; they sum to it (last axis)",
    "range": "quantization range of the weights, where it moves",
    "second_moment": "mean square of the gradient's entries that Adam divides by",
    "eps_g_mean_q": "generalization error of the running average of the quantized weights",
    "eps_g_mean_q_rounded": "generalization error of that average, quantized once",
    "eps_g_mean_w": "generalization error of the running average of the latent weights, not quantized",
    "eps_g_mean_w_rounded": "generalization error of that average, quantized once",
    "frozen_fraction": "fraction of weights that are frozen",
    "mean_slope": "mean slope of the weight quantizer, the jumps times the density at the thresholds",
    "level_fraction": "fraction of weights at each level (last axis)",
    "bin_fraction": "fraction of latent weights in each bin (last axis)",
    "crossings": "crossings of each threshold by a weight since the start (last axis)",
}
"""Names and meanings; a trajectory holds those its method can compute."""
COLUMNS = {"eps_g_by_group": "group", "level_fraction": "level", "bin_fraction": "bin", "crossings": "threshold"}
"""Observables with a last axis, and what it counts."""
