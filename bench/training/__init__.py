"""One trainer for every recipe."""
