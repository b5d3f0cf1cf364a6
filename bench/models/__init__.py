"""Models: their registry, their weights, prediction, and the contract that they keep."""
