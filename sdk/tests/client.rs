//! Clients and what is behind their sockets: our own server, and peers of another make.

#![cfg(test)]

mod client {
    mod blocks;
    mod connection;
    mod foreign;
    mod lives;
    mod odd;
    mod recorder;
    mod streams;
}
