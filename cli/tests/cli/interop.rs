//! With other gRPC stacks at the other end of the socket: grpc-go, which Dapr's runtime is built on, and Python's.

mod clients;
mod go;
mod python;
mod servers;
mod sessions;
