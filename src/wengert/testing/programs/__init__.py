"""The random program generator: writes numerical Python, runs it in every mode, and compares."""

from wengert.testing.programs.generate import Program, generate

__all__ = ["Program", "generate"]
