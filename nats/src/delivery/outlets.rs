//! All outlets of one publisher.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::handover::Handover;
use super::known::Stop;
use super::outlet::{End, Outlet};
use crate::connection::{Connection, pool};
use crate::local::{Flush, LocalSink};
use crate::message::Message;
use crate::router::{Admission, Target};

/// Outlets kept; beyond it, all are given up and found again as they are needed.
const MAX_OUTLETS: usize = 1024;
/// Time that a publisher spends per read batch on writing to its subscribers' sockets; the rest is written by tasks.
const WRITE_BUDGET: Duration = Duration::from_millis(1);

/// Outlets by position, which stays the same until [`make_room`](Self::make_room) says otherwise.
#[derive(Default)]
pub(super) struct Outlets {
    outlets: Vec<Outlet>,
    by_connection: HashMap<u64, usize>,
    by_sink: HashMap<usize, usize>,
    touched: Vec<usize>,
}

impl Outlets {
    /// The position of the outlet to a target.
    pub(super) fn position(&mut self, target: &Target) -> usize {
        match target {
            Target::Remote(connection) => self.position_of_connection(connection),
            Target::Local(sink) => {
                let outlets = &mut self.outlets;
                let new = || add(outlets, Outlet::to_sink(Arc::clone(sink)));
                *self.by_sink.entry(address(sink)).or_insert_with(new)
            }
        }
    }

    fn position_of_connection(&mut self, connection: &Arc<Connection>) -> usize {
        let outlets = &mut self.outlets;
        let new = || add(outlets, Outlet::to_connection(Arc::clone(connection)));
        *self.by_connection.entry(connection.id).or_insert_with(new)
    }

    /// Gives all outlets up if there are too many. True: positions are void.
    pub(super) fn make_room(&mut self) -> bool {
        let full = self.outlets.len() >= MAX_OUTLETS && self.touched.is_empty();
        if full {
            self.outlets.clear();
            self.by_connection.clear();
            self.by_sink.clear();
        }
        full
    }

    /// Whether the subscription took the message.
    pub(super) fn deliver(&mut self, stop: &Stop, message: &Message<'_>) -> bool {
        let admission = stop.subscription.admit();
        if admission == Admission::Refuse {
            return false;
        }
        if let Some(outlet) = self.touch(stop.outlet) {
            outlet.push(&stop.subscription.sid, message);
        }
        if admission == Admission::DeliverLast
            && let Target::Remote(connection) = &stop.subscription.target
        {
            connection.end_subscription(&stop.subscription);
        }
        true
    }

    /// The buffer for what a connection is told besides messages.
    pub(super) fn own_output(&mut self, connection: &Arc<Connection>) -> Option<&mut Vec<u8>> {
        let position = self.position_of_connection(connection);
        let gathered = self.touch(position)?.gathered()?;
        if gathered.capacity() == 0 {
            *gathered = pool::take();
        }
        Some(gathered)
    }

    fn touch(&mut self, position: usize) -> Option<&mut Outlet> {
        let outlet = self.outlets.get_mut(position)?;
        if !outlet.touched {
            outlet.touched = true;
            self.touched.push(position);
        }
        Some(outlet)
    }

    /// Hands everything over and starts writing it.
    pub(super) fn hand_over(&mut self) -> Handover {
        let mut handover = Handover::default();
        let mut begun = None;
        for position in self.touched.drain(..) {
            let Some(outlet) = self.outlets.get_mut(position) else {
                continue;
            };
            outlet.touched = false;
            match &mut outlet.end {
                End::Local { batch, .. } => {
                    if let Flush::Wait(wait) = batch.flush() {
                        handover.full_sinks.push(wait);
                    }
                }
                End::Remote { connection, gathered } => {
                    connection.push(gathered);
                    pool::give(std::mem::take(gathered));
                    if begun.get_or_insert_with(Instant::now).elapsed() < WRITE_BUDGET {
                        connection.write();
                    } else {
                        connection.write_elsewhere();
                    }
                    if connection.must_stall() {
                        handover.stalled.push(Arc::clone(connection));
                    }
                }
            }
        }
        handover
    }
}

fn add(outlets: &mut Vec<Outlet>, outlet: Outlet) -> usize {
    outlets.push(outlet);
    outlets.len() - 1
}

/// Tells sinks apart. An outlet keeps its sink, so that no other one gets its address.
fn address(sink: &Arc<dyn LocalSink>) -> usize {
    Arc::as_ptr(sink).cast::<()>().addr()
}
