//! The building blocks' services over a real socket, with the clients that tonic generates.

#![cfg(test)]

mod acting;
mod binding;
mod life;
mod pauses;
mod pubsub;
mod rig;
mod secret;
mod state;
mod stop;
