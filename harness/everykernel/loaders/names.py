"""The names of loaders, as ``--loader`` and records have them, and whose kernels each runs on."""

from __future__ import annotations

OWN = "own"  # our own loader: what `load` is
ARCHES = {  # of adapters, which are programs: those that table.py can have built
    "libbpf": ("x86_64", "arm64", "s390x"),
    "ebpf-go": ("x86_64", "arm64"),
    "aya": ("x86_64", "arm64"),
}
REAL = tuple(ARCHES)  # those of table.py
EVERY = (OWN, *REAL)
USUAL_RULES = "libbpf"  # by which our own loader decides where nobody says whose; the others are of `REAL` too
