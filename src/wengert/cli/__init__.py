"""The command line: parsing and printing only."""

from wengert.cli.main import app

__all__ = ["app"]
