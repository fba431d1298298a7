//! State and pub/sub on SQLite.
