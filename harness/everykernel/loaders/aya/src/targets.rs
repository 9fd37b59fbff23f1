//! One program asked of the kernel, with the target that its section names where `load` takes one.

use aya::{
    Btf,
    programs::{Program, ProgramError},
};

use crate::{
    errors::{Refusal, caught},
    outline::Outlined,
};

/// What became of one program: the instructions that the verifier walked, why not, or that it was not asked.
pub enum Outcome {
    Loaded(Option<u32>),
    Refused(Refusal),
    Skipped(&'static str),
}

/// Loads a program. `btf` holds the kernel's own types, or why there are none.
pub fn load(program: &mut Program, outlined: &Outlined, btf: Result<&Btf, &Refusal>) -> Outcome {
    if matches!(program, Program::Extension(_)) {
        return Outcome::Skipped("aya loads an extension for a program that is loaded, which the tool names");
    }
    let target = outlined.target.as_deref().unwrap_or_default();
    match caught(|| ask(program, target, btf)) {
        Ok(()) => Outcome::Loaded(program.info().ok().and_then(|info| info.verified_instruction_count())),
        Err(refusal) => Outcome::Refused(refusal),
    }
}

fn ask(program: &mut Program, target: &str, btf: Result<&Btf, &Refusal>) -> Result<(), Refusal> {
    let loaded = match program {
        Program::FEntry(p) => p.load(target, btf.map_err(Clone::clone)?),
        Program::FExit(p) => p.load(target, btf.map_err(Clone::clone)?),
        Program::BtfTracePoint(p) => p.load(target, btf.map_err(Clone::clone)?),
        Program::Lsm(p) => p.load(target, btf.map_err(Clone::clone)?),
        Program::LsmCgroup(p) => p.load(target, btf.map_err(Clone::clone)?),
        Program::Iter(p) => p.load(target, btf.map_err(Clone::clone)?),
        _ => plainly(program),
    };
    loaded.map_err(|e| Refusal::from(&e))
}

/// Calls `load` of a program that takes no target.
fn plainly(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::KProbe(p) => p.load(),
        Program::UProbe(p) => p.load(),
        Program::TracePoint(p) => p.load(),
        Program::SocketFilter(p) => p.load(),
        Program::ReusePortSocketFilter(p) => p.load(),
        Program::Xdp(p) => p.load(),
        Program::SkMsg(p) => p.load(),
        Program::SkSkb(p) => p.load(),
        Program::CgroupSockAddr(p) => p.load(),
        Program::SockOps(p) => p.load(),
        Program::SchedClassifier(p) => p.load(),
        Program::CgroupSkb(p) => p.load(),
        Program::CgroupSysctl(p) => p.load(),
        Program::CgroupSockopt(p) => p.load(),
        Program::LircMode2(p) => p.load(),
        Program::PerfEvent(p) => p.load(),
        Program::RawTracePoint(p) => p.load(),
        Program::FlowDissector(p) => p.load(),
        Program::SkLookup(p) => p.load(),
        Program::SkReuseport(p) => p.load(),
        Program::CgroupSock(p) => p.load(),
        Program::CgroupDevice(p) => p.load(),
        Program::Extension(_)
        | Program::FEntry(_)
        | Program::FExit(_)
        | Program::BtfTracePoint(_)
        | Program::Lsm(_)
        | Program::LsmCgroup(_)
        | Program::Iter(_) => Err(ProgramError::UnexpectedProgramType),
    }
}
