"""The names of loaders, as ``--loader`` and records have them."""

from __future__ import annotations

OWN = "own"  # our own loader: what `load` is
REAL = ("libbpf", "ebpf-go", "aya")  # those of table.py
ARCHES = ("x86_64",)  # whose kernels adapters run on
EVERY = (OWN, *REAL)
USUAL_RULES = "libbpf"  # by which our own loader decides where nobody says whose; the others are of `REAL` too
