"""The command line as a process of its own, whatever folder it is started in."""

from __future__ import annotations

import sys

FLD = (sys.executable, "-c", "from fld_engine.flows.command import main; main()")
"""`fld`: what the console script of an installed package does."""
