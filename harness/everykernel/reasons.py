"""The reason codes: one stable, kebab-case code for each way in which a stage can fail, with cause and remedy.

docs/reason-codes.md is written from this table. This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from everykernel.dataclass import dataclass


@dataclass(frozen=True)
class Reason:
    """One reason code.

    Attributes:
        code: the stable code.
        stage: where it arises: ``relocate``, ``load``, ``run`` or ``guest`` (the machine, not the case).
        cause: what happened.
        remedy: what an author can do.
    """

    code: str
    stage: str
    cause: str
    remedy: str


_TABLE = (
    Reason(
        "btf-missing",
        "relocate",
        "the program has CO-RE records, or needs the kernel's own BTF (fentry, LSM, kfuncs …), and the kernel has none",
        "for CO-RE, supply one made for this kernel (--btf); else load a variant that does without, such as a kprobe",
    ),
    Reason(
        "btf-rejected",
        "relocate",
        "a BTF is damaged, or made for another pointer size or byte order",
        "supply the BTF of exactly this kernel",
    ),
    Reason(
        "relocation-unresolved",
        "load",
        "an instruction that was reached needs a type, field or enum value that this kernel lacks",
        "guard the access with bpf_core_field_exists, or add a ___flavour for the other layout",
    ),
    Reason(
        "relocation-ambiguous",
        "relocate",
        "several types of the same name give different values",
        "narrow the local type so that one candidate matches",
    ),
    Reason("object-malformed", "relocate", "the object's bytes contradict themselves", "rebuild the object"),
    Reason(
        "object-unsupported",
        "relocate",
        "the object is sound, and asks for something that no loader takes",
        "do what the message says: libbpf opens or loads no such object",
    ),
    Reason(
        "map-type-unsupported",
        "load",
        "this kernel does not know the map type, or has no global variables (each section of them is a map)",
        "choose an older map type, or a variant; keep in maps what has to be kept",
    ),
    Reason(
        "map-create-failed",
        "load",
        "the kernel refused to create a map of a type that it knows",
        "look at errno and the map's sizes",
    ),
    Reason(
        "program-type-unsupported",
        "load",
        "this kernel does not know the program type",
        "choose another program type, or a variant",
    ),
    Reason(
        "attach-type-unsupported",
        "load",
        "this kernel does not know the attach type",
        "choose another attach type, or a variant",
    ),
    Reason(
        "attach-target-missing",
        "load",
        "the function, tracepoint or hook does not exist in this kernel",
        "name a target that it has, or make the program optional",
    ),
    Reason("attach-failed", "run", "the kernel refused to attach the program", "look at errno"),
    Reason(
        "helper-unsupported",
        "load",
        "this kernel does not have the helper, or not for this program type",
        "guard it with bpf_core_enum_value_exists(enum bpf_func_id, …)",
    ),
    Reason(
        "kfunc-missing",
        "load",
        "this kernel does not export the kfunc, or with another prototype",
        "declare it __weak and guard it with bpf_ksym_exists; declare another prototype as NAME___FLAVOUR",
    ),
    Reason("ksym-missing", "load", "this kernel does not have the symbol", "declare it __weak"),
    Reason(
        "kconfig-missing", "load", "a strong .kconfig extern is not in the kernel's configuration", "declare it __weak"
    ),
    Reason(
        "module-missing",
        "load",
        "a kernel module that is needed is not in this kernel, or was not loaded",
        "name it in the case's machine, or ask for another flavour",
    ),
    Reason(
        "kernel-config-missing",
        "load",
        "the kernel was built without the option that this needs",
        "ask for another flavour",
    ),
    Reason(
        "verifier-rejected",
        "load",
        "the verifier refused the program",
        "read the failing instruction and its source line",
    ),
    Reason(
        "limit-exceeded",
        "load",
        "the program or map is past a limit of this kernel",
        "make it smaller, or split it; where memory is short, give the guest more",
    ),
    Reason(
        "permission-denied",
        "load",
        "the kernel denies the operation to this caller",
        "look at lockdown, LSM and capabilities",
    ),
    Reason(
        "load-failed",
        "load",
        "the kernel refused the program for a reason that is none of the others",
        "look at errno and the log",
    ),
    Reason(
        "loader-refused",
        "load",
        "a real loader refused it by a rule of its library, before the kernel was asked",
        "read its message; docs/loader-differences.md explains the rules in which loaders differ",
    ),
    Reason(
        "assertion-failed", "run", "the program ran, and what it saw is not what the case expects", "read the evidence"
    ),
    Reason(
        "misread",
        "run",
        "a program that was loaded reads other bytes than its author meant, and strict reads were asked for",
        "read the field by its size (bpf_core_field_size, BPF_CORE_READ_BITFIELD_PROBED), or guard the access",
    ),
    Reason(
        "timeout",
        "run",
        "it did not end by its deadline, while the guest still answers",
        "make the trigger or command end, or the deadline longer",
    ),
    Reason(
        "command-failed",
        "run",
        "a command ended with another exit code than the one that is wanted",
        "read what it wrote, and the bpf(2) call that was refused",
    ),
    Reason(
        "command-output",
        "run",
        "a command ended as wanted, and what it wrote does not match",
        "read what it wrote",
    ),
    Reason(
        "command-crashed",
        "run",
        "a signal ended a command",
        "read what it wrote, and the kernel's console",
    ),
    Reason(
        "command-not-started",
        "run",
        "a command could not be started: it, its interpreter or a library is not there, or it is for another machine",
        "push what is missing, or build it for the guest's architecture",
    ),
    Reason(
        "kernel-headers-missing",
        "run",
        "a command compiles against the kernel's headers, as BCC does, and they are not in the guest",
        "--headers (headers = true in a case) pushes those of Debian's kernels; others to /lib/modules/RELEASE/build",
    ),
    Reason(
        "command-processes",
        "run",
        "a command had more processes and threads at once than one may have, and was ended",
        "look for what starts them without end",
    ),
    Reason(
        "out-of-memory",
        "run",
        "the guest's kernel ran out of memory and killed a command",
        "give the guest more memory, or look for what takes it without end",
    ),
    Reason(
        "usage-error",
        "run",
        "what was asked for makes no sense for this object: a program, map, variable or type that it does not have",
        "ask for what it has",
    ),
    Reason("kernel-warning", "run", "the kernel printed a WARN or a lockdep splat", "read the console"),
    Reason("kernel-oops", "guest", "the kernel oopsed", "read the trace in the console"),
    Reason("kernel-panic", "guest", "the kernel panicked", "read the trace in the console"),
    Reason(
        "kernel-hung", "guest", "the guest neither answered nor died by its deadline", "read the last console lines"
    ),
    Reason(
        "boot-failed",
        "guest",
        "the kernel never got as far as its agent",
        "read the console; look at the kernel's configuration",
    ),
    Reason(
        "guest-lost",
        "guest",
        "QEMU, the channel or the connection to a target ended and the kernel did not say why, or the guest ran out of "
        "memory",
        "run the cell again; look at QEMU's errors; give the guest more memory; look at the target",
    ),
    Reason(
        "loader-broke",
        "guest",
        "the adapter of a real loader crashed in the guest, or what it said is no answer by its contract",
        "read the message; run the cell again; mend the adapter where it is your own (docs/loaders.md)",
    ),
    Reason(
        "target-unusable",
        "guest",
        "a machine that is reached over SSH was not reached, or has not what the agent needs; nothing was begun on it",
        "do what the message says; docs/targets.md has each case",
    ),
    Reason("harness-error", "guest", "everykernel itself is at fault", "report it, with the traceback"),
)

REASONS: dict[str, Reason] = {r.code: r for r in _TABLE}
