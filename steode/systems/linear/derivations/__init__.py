"""What each part of a linear model contributes to the derivation of its limit, and their assembly."""
