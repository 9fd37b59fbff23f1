//! What an object holds, as aya parsed it: its programs in the order of the file, its maps.

use aya_obj::{Object, ProgramSection};
use object::{Object as _, ObjectSection as _, SectionIndex};

use crate::{
    events::{MapShape, ProgramName},
    names,
};

/// A program of the object. `target` is the last part of its section's name, where a name follows the first slash.
pub struct Outlined {
    pub name: ProgramName,
    pub target: Option<String>,
}

/// What an object holds. `shared` says whether one of its maps takes on what the first program that uses it is.
pub struct Outline {
    pub programs: Vec<Outlined>,
    pub maps: Vec<MapShape>,
    pub shared: bool,
    pub needs_btf: bool,
}

/// Maps that belong to the kind of their first program (the kernel's bpf_map.owner), or to one program.
const OWNED: [&str; 6] =
    ["prog_array", "devmap", "devmap_hash", "cpumap", "cgroup_storage", "percpu_cgroup_storage"];

impl Outline {
    /// Reads the outline of what aya parsed; `data` is the file's bytes, which aya has taken.
    pub fn new(parsed: &Object, data: &[u8]) -> Self {
        let file = object::read::File::parse(data).ok();
        let section = |index| {
            let name = file.as_ref()?.section_by_index(SectionIndex(index)).ok()?.name().ok()?.to_owned();
            Some(name)
        };
        let mut found: Vec<_> = parsed.programs.iter().collect();
        found.sort_by_key(|(_, program)| program.function_key());
        let outlined = |(name, program): (&String, &aya_obj::Program)| {
            let section = section(program.section_index).unwrap_or_default();
            let target = section.split_once('/').map(|(_, target)| target.to_owned());
            let kind = kind(&program.section);
            Outlined { name: ProgramName { name: name.clone(), section, kind }, target }
        };
        let programs: Vec<_> = found.into_iter().map(outlined).collect();
        let mut maps: Vec<_> = parsed.maps.iter().map(|(name, map)| shape(name, map)).collect();
        maps.sort_by(|a, b| a.name.cmp(&b.name));
        let shared = maps.iter().any(|map| OWNED.contains(&map.kind.as_str()));
        let targeted = parsed.programs.values().any(|program| is_targeted(&program.section));
        let needs_btf = targeted || parsed.has_btf_relocations() || parsed.has_typed_ksyms();
        Self { programs, maps, shared, needs_btf }
    }
}

fn shape(name: &str, map: &aya_obj::Map) -> MapShape {
    MapShape {
        name: name.to_owned(),
        kind: names::map_type(map.map_type()),
        key_size: map.key_size(),
        value_size: map.value_size(),
        max_entries: map.max_entries(),
    }
}

/// Whether a program is for one place in the kernel, which its load has to name by a BTF id.
const fn is_targeted(section: &ProgramSection) -> bool {
    use ProgramSection as S;
    matches!(
        section,
        S::FEntry { .. } | S::FExit { .. } | S::Lsm { .. } | S::LsmCgroup | S::BtfTracePoint | S::Iter { .. }
    )
}

/// Returns the type that aya gives the programs of a section, named as libbpf names it.
const fn kind(section: &ProgramSection) -> &'static str {
    use ProgramSection as S;
    match section {
        S::KProbe | S::KRetProbe | S::UProbe { .. } | S::URetProbe { .. } => "kprobe",
        S::TracePoint => "tracepoint",
        S::SocketFilter => "socket_filter",
        S::Xdp { .. } => "xdp",
        S::SkMsg => "sk_msg",
        S::SkSkbStream { .. } => "sk_skb",
        S::SockOps => "sock_ops",
        S::SchedClassifier => "sched_cls",
        S::CgroupSkb { .. } => "cgroup_skb",
        S::CgroupSockAddr { .. } => "cgroup_sock_addr",
        S::CgroupSysctl => "cgroup_sysctl",
        S::CgroupSockopt { .. } => "cgroup_sockopt",
        S::LircMode2 => "lirc_mode2",
        S::PerfEvent => "perf_event",
        S::RawTracePoint => "raw_tracepoint",
        S::Lsm { .. } | S::LsmCgroup => "lsm",
        S::BtfTracePoint | S::FEntry { .. } | S::FExit { .. } | S::Iter { .. } => "tracing",
        S::FlowDissector => "flow_dissector",
        S::Extension => "ext",
        S::SkLookup => "sk_lookup",
        S::SkReuseport { .. } => "sk_reuseport",
        S::CgroupSock { .. } => "cgroup_sock",
        S::CgroupDevice => "cgroup_device",
    }
}
