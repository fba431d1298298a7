//! The program `pluggable`, as people and scripts see it: real processes, sockets, files and exit codes.

#![cfg(test)]

mod bench;
mod call;
mod daprd;
mod health;
mod help;
mod host;
mod inspect;
mod interop;
mod large;
mod program;
mod run;
mod serve;
