"""The zoo: find, load and check models and their weights."""
