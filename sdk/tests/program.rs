//! A component's own program, as its operator sees it: real processes, signals, sockets and exit codes.
//!
//! The test program is also the component: it starts itself again with `PATIENT` set to what it shall serve.

#![cfg(test)]

mod program {
    pub(crate) mod component;
    pub(crate) mod harness;
    mod health;
    mod limits;
    mod start;
    mod stop;

    pub(crate) fn trials() -> Vec<libtest_mimic::Trial> {
        [
            start::trials(),
            stop::trials(),
            health::trials(),
            limits::trials(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    match env::var(program::harness::ROLE) {
        Ok(names) => program::component::run(&names),
        Err(_) => {
            let arguments = libtest_mimic::Arguments::from_args();
            libtest_mimic::run(&arguments, program::trials()).exit_code()
        }
    }
}
