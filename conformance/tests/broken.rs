//! Every check can fail: components that are broken on purpose, each caught by the checks named beside it.

#![cfg(test)]

mod broken {
    mod binding;
    mod cases;
    mod fault;
    mod opener;
    mod pubsub;
    mod secret;
    mod socket;
    mod state;

    pub(crate) use self::cases::trials;
}

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    libtest_mimic::run(&arguments, broken::trials()).exit_code()
}
