//! The object, its maps and its programs as aya takes them, told event by event.

use std::{fs, io};

use aya::{Btf, Ebpf, EbpfLoader, Endianness, VerifierLogLevel};
use aya_obj::Object;
use serde_json::json;

use crate::{
    errors::{Refusal, caught},
    events::Events,
    outline::{Outline, Outlined},
    pins::Pins,
    request::Request,
    targets::{self, Outcome},
};

/// Types that this adapter parsed once for all its loads.
struct Types {
    supplied: Option<Btf>,
    kernel: Result<Btf, Refusal>,
}

/// Answers a request; only writing to stdout may fail.
pub fn judge(request: &Request) -> io::Result<()> {
    let events = Events;
    let toolchain = option_env!("RUSTUP_TOOLCHAIN").unwrap_or("unknown");
    events.loader(&json!({"aya-obj": "0.6.0", "toolchain": toolchain, "ignored": request.ignored()}))?;
    let read = fs::read(&request.object).map_err(|e| Refusal::of_loader(format!("{}: {e}", request.object)));
    let parsed = read.and_then(|data| {
        let parsed = caught(|| Object::parse(&data).map_err(|e| Refusal::from(&e)))?;
        Ok((Outline::new(&parsed, &data), data))
    });
    events.object(parsed.as_ref().err())?;
    match &parsed {
        Ok((outline, data)) => of_object(request, outline, data, &events)?,
        Err(refusal) => events.whole(Some(refusal))?,
    }
    events.end()
}

fn of_object(request: &Request, outline: &Outline, data: &[u8], events: &Events) -> io::Result<()> {
    let types = match Types::new(request, outline.needs_btf) {
        Ok(types) => types,
        Err(refusal) => return refused(request, outline, &refusal, events),
    };
    let mut object = match open(request, &types, data) {
        Ok(object) => object,
        Err(refusal) => return refused(request, outline, &refusal, events),
    };
    for map in &outline.maps {
        events.map(map, None)?;
    }
    let mut whole = None;
    for outlined in &outline.programs {
        let outcome = of_program(&mut object, outlined, &types);
        let first = whole.is_none() && matches!(outcome, Outcome::Refused(_));
        if let (true, Outcome::Refused(refusal)) = (first, &outcome) {
            let message = format!("{}: {}", outlined.name.name, refusal.message);
            whole = Some(Refusal { message, ..refusal.clone() });
        }
        if request.wants(&outlined.name.name) {
            let alone = if outline.shared { afresh(request, outlined, &types, data) } else { outcome };
            tell(request, outlined, &alone, events)?;
        }
    }
    events.whole(whole.as_ref())
}

/// Says that the object was refused before any program could be tried.
fn refused(request: &Request, outline: &Outline, refusal: &Refusal, events: &Events) -> io::Result<()> {
    for map in outline.maps.iter().filter(|map| refusal.map.as_ref() == Some(&map.name)) {
        events.map(map, Some(refusal))?;
    }
    for outlined in outline.programs.iter().filter(|p| request.wants(&p.name.name)) {
        events.program(&outlined.name, Err(refusal))?;
    }
    events.whole(Some(refusal))
}

fn tell(request: &Request, outlined: &Outlined, outcome: &Outcome, events: &Events) -> io::Result<()> {
    match outcome {
        Outcome::Loaded(insns) => events.program(&outlined.name, Ok(*insns)),
        Outcome::Refused(refusal) => {
            let log = last(&refusal.log, request.log_size).to_owned();
            events.program(&outlined.name, Err(&Refusal { log, ..refusal.clone() }))
        }
        Outcome::Skipped(why) => events.skipped(&outlined.name, why),
    }
}

/// Returns the last `size` bytes of a log, at most.
fn last(log: &str, size: usize) -> &str {
    let start = log.len().saturating_sub(size);
    let start = (start..=log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(log.len());
    &log[start..]
}

/// Opens and relocates the object and creates its maps, as `EbpfLoader::load` does.
fn open(request: &Request, types: &Types, data: &[u8]) -> Result<Ebpf, Refusal> {
    let mut loader = EbpfLoader::new();
    loader.verifier_log_level(VerifierLogLevel::DEBUG | VerifierLogLevel::STATS);
    if let Some(btf) = types.supplied.as_ref().or(types.kernel.as_ref().ok()) {
        loader.btf(btf);
    }
    for (name, sizes) in &request.maps {
        if let Some(entries) = sizes.max_entries {
            loader.map_max_entries(name, entries);
        }
    }
    let _pins = Pins::of(&mut loader, request.pins);
    caught(|| loader.load(data).map_err(|e| Refusal::from(&e)))
}

fn of_program(object: &mut Ebpf, outlined: &Outlined, types: &Types) -> Outcome {
    match object.program_mut(&outlined.name.name) {
        Some(program) => targets::load(program, outlined, types.kernel.as_ref()),
        None => Outcome::Refused(Refusal::of_loader("aya parsed it and lost it".into())),
    }
}

/// Judges one program on maps that no other has used.
fn afresh(request: &Request, outlined: &Outlined, types: &Types, data: &[u8]) -> Outcome {
    match open(request, types, data) {
        Ok(mut object) => of_program(&mut object, outlined, types),
        Err(refusal) => Outcome::Refused(refusal),
    }
}

impl Types {
    /// Parses what the object needs; that the kernel has no types is no error here, but of what asks for them.
    fn new(request: &Request, needed: bool) -> Result<Self, Refusal> {
        let none = || Refusal::of_loader("not asked for".into());
        let kernel = if needed { caught(|| Btf::from_sys_fs().map_err(|e| Refusal::from(&e))) } else { Err(none()) };
        let supplied = match &request.btf {
            Some(path) => Some(caught(|| {
                Btf::parse_file(path, Endianness::default()).map_err(|e| Refusal::from(&e))
            })?),
            None => None,
        };
        Ok(Self { supplied, kernel })
    }
}
