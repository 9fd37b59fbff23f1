//! `parent [--btf FILE]`: asks the kernel by a BPF program who this process's parent is, and compares.
//!
//! Exit code 0 where the answer is right, 1 where it is not or something failed, 3 where the kernel has no BTF and none
//! is given.

use std::{error::Error, os::unix::process::parent_id, path::Path, process, process::ExitCode};

use aya::{Btf, EbpfLoader, Endianness, include_bytes_aligned, maps::Array, programs::RawTracePoint};

const KERNEL: &str = "/sys/kernel/btf/vmlinux";
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/parent.bpf.o"));

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => None,
        ["--btf", file] => Some(file.to_owned()),
        _ => return fail("usage: parent [--btf FILE]", 2),
    };
    if given.is_none() && !Path::new(KERNEL).exists() {
        return fail(&format!("this kernel has no BTF ({KERNEL}): give the one made for it, --btf FILE"), 3);
    }
    match ask(given.as_deref()) {
        Ok(parent) if parent == parent_id() => {
            println!("parent {parent}: right");
            ExitCode::SUCCESS
        }
        Ok(parent) => fail(&format!("the program says {parent}, the kernel {}", parent_id()), 1),
        Err(why) => fail(&chain(why.as_ref()), 1),
    }
}

fn ask(btf: Option<&str>) -> Result<u32, Box<dyn Error>> {
    let types = btf.map(|file| Btf::parse_file(file, Endianness::default())).transpose()?;
    let pid = process::id();
    let mut loader = EbpfLoader::new();
    loader.override_global("wanted", &pid, true);
    if let Some(types) = &types {
        loader.btf(types);
    }
    let mut object = loader.load(OBJECT)?;
    let program: &mut RawTracePoint = object.program_mut("ask").ok_or("no program")?.try_into()?;
    program.load()?;
    program.attach("sys_enter")?;
    let _seen = parent_id(); // a system call
    let parents: Array<_, u32> = object.map("parents").ok_or("no map")?.try_into()?;
    Ok(parents.get(&0, 0)?)
}

/// Returns an error with its causes.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        said = format!("{said}: {cause}");
        next = cause.source();
    }
    said
}

fn fail(why: &str, code: u8) -> ExitCode {
    eprintln!("parent: {why}");
    ExitCode::from(code)
}
