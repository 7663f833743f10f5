"""The training algorithm of a linear model taken literally, at finite dimension."""
