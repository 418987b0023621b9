"""Answers about a user's program: what is compiled, stored and cut, and where a gradient goes wrong."""

from wengert.diagnose.explain import explain
from wengert.diagnose.explanation import Explanation, LineNote, ParameterNote
from wengert.diagnose.memory import Memory, memory

__all__ = ["Explanation", "LineNote", "Memory", "ParameterNote", "explain", "memory"]
