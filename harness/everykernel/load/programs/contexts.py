"""Parameters that are tagged as a program's context, for kernels that do not know the tag.

``void *ctx __arg_ctx`` in a global function is a btf_decl_tag that the verifier reads since Linux commit 94e1c70a3452
("bpf: support 'arg:xxx' btf_decl_tag-based hints for global subprog args") (in v6.8). Before, it goes by the name of
the struct: libbpf 1.7 then clones the function with the struct of the program's type (bpf_program_fixup_func_info).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds
from everykernel.btf.edit import Editor
from everykernel.object.tags import CONTEXT, tags

if TYPE_CHECKING:
    from everykernel.btf import Btf

_GLOBAL = 1  # index of btf.kinds.LINKAGES

# Source: global_ctx_map of libbpf.c, by name of the program type.
_STRUCTS = {
    "cgroup_device": "bpf_cgroup_dev_ctx", "cgroup_skb": "__sk_buff", "cgroup_sock": "bpf_sock",
    "cgroup_sock_addr": "bpf_sock_addr", "cgroup_sockopt": "bpf_sockopt", "cgroup_sysctl": "bpf_sysctl",
    "flow_dissector": "__sk_buff", "kprobe": "bpf_user_pt_regs_t", "lwt_in": "__sk_buff", "lwt_out": "__sk_buff",
    "lwt_seg6local": "__sk_buff", "lwt_xmit": "__sk_buff", "netfilter": "bpf_nf_ctx",
    "perf_event": "bpf_perf_event_data", "raw_tracepoint": "bpf_raw_tracepoint_args",
    "raw_tracepoint_writable": "bpf_raw_tracepoint_args", "sched_act": "__sk_buff", "sched_cls": "__sk_buff",
    "sk_lookup": "bpf_sk_lookup", "sk_msg": "sk_msg_md", "sk_reuseport": "sk_reuseport_md", "sk_skb": "__sk_buff",
    "sock_ops": "bpf_sock_ops", "socket_filter": "__sk_buff", "xdp": "xdp_md",
}  # fmt: skip


def named(btf: Btf, func_info: bytes, type_: str) -> Optional[tuple[bytes, bytes]]:
    """Return the object's BTF and a program's func_info with tagged ``void *`` parameters as the struct of its type.

    None if no function of the program has such a parameter, or the program type no such struct.
    """
    name = _STRUCTS.get(type_)
    layout = f"{'<' if btf.byteorder == 'little' else '>'}{len(func_info) // 4}I"
    infos = list(struct.unpack(layout, func_info))
    places = {infos[at + 1]: at + 1 for at in range(0, len(infos), 2)}
    wanted = [tag for tag in tags(btf, CONTEXT) if tag.name == CONTEXT and tag.type in places and _void(btf, tag)]
    if name is None or not wanted:
        return None
    editor = Editor(btf)
    pointer = editor.add(0, kinds.PTR << 24, editor.add(editor.string(name), kinds.STRUCT << 24, 0))
    clones: dict[int, int] = {}
    for tag in wanted:
        if tag.type not in clones:
            clones[tag.type] = _clone(editor, tag.type)
            infos[places[tag.type]] = clones[tag.type]
        prototype = editor.words[editor.at(clones[tag.type]) + 2]
        editor.words[editor.at(prototype) + 3 + 2 * tag.component + 1] = pointer
    return editor.image(), struct.pack(layout, *infos)


def _void(btf: Btf, tag: kinds.DeclTag) -> bool:
    """Whether the tagged parameter is a ``void *`` of a global function."""
    function = btf.type(tag.type)
    if not isinstance(function, kinds.Func) or function.linkage != _GLOBAL:
        return False
    prototype = btf.type(function.type)
    if not isinstance(prototype, kinds.FuncProto) or not 0 <= tag.component < len(prototype.params):
        return False
    pointer = btf.type(btf.resolve(prototype.params[tag.component].type))
    return isinstance(pointer, kinds.Ptr) and btf.kind(btf.resolve(pointer.type)) == kinds.VOID


def _clone(editor: Editor, number: int) -> int:
    """Add a copy of a func and its prototype; return the func's id."""
    words, at = editor.words, editor.at(number)
    proto = editor.at(words[at + 2])
    count = words[proto + 1] & 0xFFFFFF
    copy = editor.add(*words[proto : proto + 3 + 2 * count])
    return editor.add(words[at], words[at + 1], copy)
