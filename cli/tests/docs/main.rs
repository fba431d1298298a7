//! The commands in the book, in the order in which somebody types them who reads it.
//!
//! A comment before a block says what else than to its end it runs:
//!
//! | comment | meaning |
//! |---|---|
//! | `<!-- file: PATH -->` | the block is the content of a file |
//! | `<!-- stays, and says: TEXT -->` | it runs on; the next block comes when it has said the text |
//! | `<!-- each line, until it says: TEXT -->` | every line is a program that runs until it is stopped |
//! | `<!-- not run: REASON -->` | it needs what a test does not have |
//!
//! The lines of a block of `text` after commands are among what they print.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod document;
mod pages;
mod script;
