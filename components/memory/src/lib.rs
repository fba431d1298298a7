//! All building blocks in memory.
