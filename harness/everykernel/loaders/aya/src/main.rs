//! Loads one BPF object with aya and says, as JSON lines on stdout, what became of it.
//!
//! `everykernel-aya REQUEST.json`: exit code 0 whatever the verdicts, 2 for a bad request.

mod errors;
mod events;
mod judge;
mod names;
mod outline;
mod pins;
mod request;
mod targets;

use std::process::ExitCode;

fn main() -> ExitCode {
    errors::remember_panics();
    let request = match request::Request::from_arguments() {
        Ok(request) => request,
        Err(why) => {
            eprintln!("everykernel-aya: {why}");
            return ExitCode::from(2);
        }
    };
    match judge::judge(&request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("everykernel-aya: stdout: {why}");
            ExitCode::FAILURE
        }
    }
}
