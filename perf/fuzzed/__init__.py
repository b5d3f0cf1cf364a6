"""Kinds of files that `perf/fuzz.py` damages and makes up, one a module.

Each has `prepare(folder)`: whatever a use needs; `samples(folder)`: whole files, written there once; `made(chance,
folder)`: a file of its own; `use(path)`: what a user does with it. Files depend on the random numbers alone.
"""
