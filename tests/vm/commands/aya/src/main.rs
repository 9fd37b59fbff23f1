//! A tool in Rust: loads an object by aya, attaches its tracepoint, starts a process, and counts what was seen.

use std::{env, error::Error, fs, process};

use aya::{maps::HashMap, programs::TracePoint, Ebpf};

fn run() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).unwrap_or_else(|| "counts.bpf.o".into());
    let mut object = Ebpf::load(&fs::read(path)?)?;
    let program: &mut TracePoint = object.program_mut("count").ok_or("no program")?.try_into()?;
    program.load()?;
    program.attach("syscalls", "sys_enter_getpgid")?;
    for _ in 0..3 {
        unsafe { getpgid(0) };
    }
    let counts: HashMap<_, u32, u64> = HashMap::try_from(object.map("counts").ok_or("no map")?)?;
    println!("seen {}", counts.get(&0, 0)?);
    Ok(())
}

extern "C" {
    fn getpgid(pid: i32) -> i32;
}

fn main() {
    if let Err(error) = run() {
        eprintln!("aya-tool: {error}");
        process::exit(1);
    }
}
