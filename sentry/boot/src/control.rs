//! Serves the control socket over the kernel.

use std::os::fd::OwnedFd;

use bevor_control::{
    ContainerState, Create, End, Handler, Listener, Process, Refusal, RefusalKind, Streams, Target,
    Waiter,
};

/// The sandbox behind the control socket.
pub struct Sandbox {}

impl Sandbox {
    /// A sandbox without containers.
    pub const fn new() -> Self {
        Self {}
    }
}

fn no_container(name: &str) -> Refusal {
    Refusal::new(RefusalKind::NotFound, format!("there is no container {name}"))
}

impl Handler for Sandbox {
    fn create(&mut self, _: Create, _: Streams, _: Vec<OwnedFd>) -> Result<(), Refusal> {
        Err(Refusal::new(RefusalKind::Unsupported, "this sandbox cannot make containers"))
    }

    fn start(&mut self, container: &str) -> Result<i32, Refusal> {
        Err(no_container(container))
    }

    fn exec(&mut self, container: &str, _: Process, _: Streams) -> Result<i32, Refusal> {
        Err(no_container(container))
    }

    fn signal(&mut self, container: &str, _: Target, _: i32) -> Result<(), Refusal> {
        Err(no_container(container))
    }

    fn wait(&mut self, container: &str, _: Option<i32>, _: Waiter) -> Result<(), Refusal> {
        Err(no_container(container))
    }

    fn state(&mut self, container: Option<&str>) -> Result<Vec<ContainerState>, Refusal> {
        container.map_or_else(|| Ok(Vec::new()), |container| Err(no_container(container)))
    }

    fn resize(&mut self, name: &str, _: Option<i32>, _: u16, _: u16) -> Result<(), Refusal> {
        Err(no_container(name))
    }

    fn events(&mut self, _: Listener) {}

    fn delete(&mut self, container: &str) -> Result<(), Refusal> {
        Err(no_container(container))
    }

    fn shutdown(&mut self, _: End) {}
}
