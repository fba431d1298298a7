//! Components under a real `daprd`, the one whose binary the environment variable `DAPRD` names. Without it these tests
//! say that they do not run.

mod application;
mod bindings;
mod messages;
mod resources;
mod restart;
mod secrets;
mod sidecar;
mod site;
mod start;
mod state;
mod stop;
mod swap;
