"""Answers about a user's program: what is compiled, stored and cut, and where a gradient goes wrong."""

from wengert.diagnose.explain import explain
from wengert.diagnose.explanation import Explanation, LineNote, ParameterNote

__all__ = ["Explanation", "LineNote", "ParameterNote", "explain"]
