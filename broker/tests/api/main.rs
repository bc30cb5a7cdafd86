//! The gRPC API against a whole broker in this process, over a real socket.

mod harness;
mod publishing;
mod streams;
mod subscribing;
