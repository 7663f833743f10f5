"""The linear teacher-student system with quantized weights and inputs, trained with the straight-through estimator."""
