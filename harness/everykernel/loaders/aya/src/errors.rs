//! aya's errors as refusals: who refused, with which errno, in which words; panics are refusals of the library.

use std::{
    any::Any,
    cell::RefCell,
    error::Error,
    io,
    panic::{self, AssertUnwindSafe},
};

use aya::{
    EbpfError,
    maps::MapError,
    programs::ProgramError,
};
use aya_obj::{ParseError, VerifierLog, btf::BtfError};

use crate::names;

/// Who refused: the library before it asked, the kernel about a map, or the kernel about the program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    Loader,
    Map,
    Kernel,
}

impl By {
    /// Its word in the contract.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Loader => "loader",
            Self::Map => "map",
            Self::Kernel => "kernel",
        }
    }
}

/// Why something was not loaded. `map` names the map that was refused, where the error tells.
#[derive(Clone)]
pub struct Refusal {
    pub by: By,
    pub errno: Option<String>,
    pub message: String,
    pub log: String,
    pub map: Option<String>,
}

impl Refusal {
    /// A refusal of the library without a cause from the kernel.
    pub fn of_loader(message: String) -> Self {
        Self { by: By::Loader, errno: None, message, log: String::new(), map: None }
    }

    fn new(by: By, error: &(dyn Error + 'static)) -> Self {
        let errno = errno(error).map(names::errno);
        Self { by, errno, message: message(error), log: String::new(), map: None }
    }

    fn with_log(mut self, log: &VerifierLog) -> Self {
        self.log = log.to_string();
        self
    }
}

impl From<&ParseError> for Refusal {
    fn from(error: &ParseError) -> Self {
        let mut refusal = Self::new(By::Loader, error);
        if let ParseError::ElfError(cause) | ParseError::SectionError { error: cause, .. } = error {
            refusal.message = format!("{error}: {cause}");
        }
        refusal
    }
}

impl From<&BtfError> for Refusal {
    fn from(error: &BtfError) -> Self {
        match error {
            BtfError::LoadError { verifier_log, .. } => Self::new(By::Kernel, error).with_log(verifier_log),
            _ => Self::new(By::Loader, error),
        }
    }
}

impl From<&MapError> for Refusal {
    fn from(error: &MapError) -> Self {
        let mut refusal = Self::new(By::Map, error);
        match error {
            MapError::CreateError { name, .. } => refusal.map = Some(name.clone()),
            MapError::PinError { name, .. } => refusal.map.clone_from(name),
            MapError::IoError(cause) => refusal.errno = cause.raw_os_error().map(names::errno),
            MapError::MissingInnerMapDefinition { outer_name: name }
            | MapError::InvalidName { name }
            | MapError::Unsupported { name, .. }
            | MapError::IncompatiblePinnedMap { name, .. } => {
                refusal.by = By::Loader;
                refusal.map = Some(name.clone());
            }
            MapError::InvalidMapType { .. } => refusal.by = By::Loader,
            _ => {}
        }
        refusal
    }
}

impl From<&ProgramError> for Refusal {
    fn from(error: &ProgramError) -> Self {
        match error {
            ProgramError::LoadError { verifier_log, .. } => Self::new(By::Kernel, error).with_log(verifier_log),
            ProgramError::Btf(cause) => cause.into(),
            ProgramError::MapError(cause) => cause.into(),
            ProgramError::IOError(cause) => {
                Self { errno: cause.raw_os_error().map(names::errno), ..Self::new(By::Loader, error) }
            }
            _ => Self::new(By::Loader, error),
        }
    }
}

impl From<&EbpfError> for Refusal {
    fn from(error: &EbpfError) -> Self {
        match error {
            EbpfError::ParseError(cause) => cause.into(),
            EbpfError::BtfError(cause) => cause.into(),
            EbpfError::MapError(cause) => cause.into(),
            EbpfError::ProgramError(cause) => cause.into(),
            _ => Self::new(By::Loader, error),
        }
    }
}

/// Returns the first number of the system among an error and its causes.
fn errno(error: &(dyn Error + 'static)) -> Option<i32> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(number) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return Some(number);
        }
        next = error.source();
    }
    None
}

/// Returns an error and its causes in one line, without what a cause says again and without verifier logs.
fn message(error: &(dyn Error + 'static)) -> String {
    let mut said = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        let text = text.split(". Verifier output:").next().unwrap_or_default().trim();
        if said.is_empty() {
            said.push_str(text);
        } else if !said.contains(text) {
            said = format!("{said}: {text}");
        }
        next = error.source();
    }
    said.lines().collect::<Vec<_>>().join("; ")
}

thread_local! {
    static PANICKED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps what a panic says for `caught`, beside what goes to stderr.
pub fn remember_panics() {
    let say = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        PANICKED.with_borrow_mut(|said| *said = place);
        say(info);
    }));
}

/// Calls the library; a panic in it is its refusal, as it would have ended the tool.
pub fn caught<T>(call: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    panic::catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        let place = PANICKED.with_borrow(String::clone);
        Err(Refusal::of_loader(format!("aya panicked{place}: {}", words(payload.as_ref()))))
    })
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}
