//! Clients and what is behind their sockets: our own server, and peers of another make.

#![cfg(test)]

mod client {
    mod connection;
    mod foreign;
    mod odd;
    mod streams;
}
