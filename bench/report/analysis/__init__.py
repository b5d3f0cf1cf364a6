"""What runs say beyond their tables: comparison, set differences, audit, regression, ranks."""
