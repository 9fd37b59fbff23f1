// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A congestion control that a link registers. Needs no relocation, but the kernel's own types. */
#include <everykernel.h>
#include <tcp_congestion.h>

SEC(".struct_ops.link")
struct tcp_congestion_ops congestion = EK_CONGESTION("ek_linked");

char LICENSE[] SEC("license") = "Dual MIT/GPL";
