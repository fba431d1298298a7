//! The program `pluggable`.
fn main() {}
