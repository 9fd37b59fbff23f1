"""Twins: two kernels built from one source with one configuration, but for CONFIG_DEBUG_INFO_BTF."""
