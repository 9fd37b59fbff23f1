"""The kinds of CO-RE relocation: the kernel's enum bpf_core_relo_kind (include/uapi/linux/bpf.h).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

FIELD_BYTE_OFFSET, FIELD_BYTE_SIZE, FIELD_EXISTS, FIELD_SIGNED, FIELD_LSHIFT_U64, FIELD_RSHIFT_U64 = range(6)
TYPE_ID_LOCAL, TYPE_ID_TARGET, TYPE_EXISTS, TYPE_SIZE, ENUMVAL_EXISTS, ENUMVAL_VALUE, TYPE_MATCHES = range(6, 13)

FIELD_BASED = frozenset(range(6))
TYPE_BASED = frozenset({TYPE_ID_LOCAL, TYPE_ID_TARGET, TYPE_EXISTS, TYPE_SIZE, TYPE_MATCHES})
ENUMVAL_BASED = frozenset({ENUMVAL_EXISTS, ENUMVAL_VALUE})

# The names are those of libbpf's log, so that both tell the same story.
_NAMES = (
    "byte_off", "byte_sz", "field_exists", "signed", "lshift_u64", "rshift_u64",
    "local_type_id", "target_type_id", "type_exists", "type_size", "enumval_exists", "enumval_value", "type_matches",
)  # fmt: skip


def name(kind: int) -> str:
    """Return a kind's name, ``unknown(N)`` for one that is none."""
    return _NAMES[kind] if 0 <= kind < len(_NAMES) else f"unknown({kind})"
