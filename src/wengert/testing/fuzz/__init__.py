"""Compiled programs called with arguments of every kind, in guarded memory, in processes that may die.

`python -m wengert.testing.fuzz --count 1000000 --seed 0` runs it.
"""
