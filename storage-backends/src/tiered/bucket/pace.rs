//! Sending bodies evenly.
//!
//! A part of 16 MiB that is sent as fast as the connection takes it is half a second of quiet and then a burst in which sender, network
//! and store take all processors for tens of milliseconds, which whoever publishes at that moment feels. In small pieces, each at its
//! time, the same bytes are not felt. Pieces that are late together go one by one too, so that no call to the system is for more than
//! one: not every system interrupts a call for somebody who has to run.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes that go at once.
const PIECE: usize = 64 << 10;
/// For so long a piece that was late is made up for by others that are early: timers tick by the millisecond.
const CREDIT: Duration = Duration::from_millis(10);

/// How fast each body is sent. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace(Arc<AtomicU64>);

impl Pace {
    /// Bytes a second from now on, of bodies on their way as well; none = as fast as the connection takes them.
    pub(super) fn set(&self, rate: Option<u64>) {
        self.0
            .store(rate.map_or(0, |rate| rate.max(1)), Ordering::Relaxed);
    }

    fn time_of(&self, bytes: usize) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            rate => Some(Duration::from_secs_f64(bytes as f64 / rate as f64)),
        }
    }
}

/// A body that is sent at a pace.
#[derive(Debug)]
pub(super) struct Paced<B> {
    body: B,
    pace: Pace,
    /// What of the last frame was not sent yet.
    rest: Bytes,
    /// When the next piece may go.
    due: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whether a piece was just given that is to leave before the next one is asked for.
    is_leaving: bool,
}

impl<B> Paced<B> {
    pub(super) fn new(body: B, pace: Pace) -> Self {
        Self {
            body,
            pace,
            rest: Bytes::new(),
            due: Instant::now(),
            sleep: None,
            is_leaving: false,
        }
    }

    /// The next piece of what is there, at its time.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        }
        let Some(time) = self.pace.time_of(self.rest.len().min(PIECE)) else {
            return Poll::Ready(std::mem::take(&mut self.rest));
        };
        if std::mem::take(&mut self.is_leaving) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let now = Instant::now();
        if self.due > now {
            let mut sleep = Box::pin(sleep_until(self.due));
            if sleep.as_mut().poll(cx).is_pending() {
                self.sleep = Some(sleep);
                return Poll::Pending;
            }
        }
        let earliest = now.checked_sub(CREDIT).unwrap_or(now);
        self.due = self.due.max(earliest) + time;
        self.is_leaving = true;
        Poll::Ready(self.rest.split_to(self.rest.len().min(PIECE)))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Paced<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        self.poll_piece(cx).map(|piece| Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut sum = SizeHint::new();
        if let Some(upper) = hint.upper() {
            sum.set_upper(upper + rest);
        }
        sum.set_lower(hint.lower() + rest);
        sum
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http_body_util::{BodyExt as _, Full};

    use super::*;

    const MIB: usize = 1 << 20;

    fn body(bytes: usize, pace: &Pace) -> Paced<Full<Bytes>> {
        Paced::new(Full::new(Bytes::from(vec![7; bytes])), pace.clone())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_takes_its_time_and_is_whole() {
        let pace = Pace::default();
        pace.set(Some(4 * MIB as u64));
        let (begun, body) = (Instant::now(), body(8 * MIB, &pace));
        assert_eq!(body.size_hint().exact(), Some(8 * MIB as u64));
        let whole = body.collect().await.unwrap().to_bytes();
        assert_eq!(whole.len(), 8 * MIB);
        let taken = begun.elapsed().as_millis();
        assert!((1900..2100).contains(&taken), "{taken} ms");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_pace_a_body_goes_at_once_and_in_one_piece() {
        let mut body = body(MIB, &Pace::default());
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap().len(), MIB);
        assert!(body.is_end_stream());
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_body_does_not_wait_whatever_the_pace() {
        let pace = Pace::default();
        pace.set(Some(1));
        let begun = Instant::now();
        body(PIECE, &pace).collect().await.unwrap();
        assert!(begun.elapsed().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_tells_its_length_in_between() {
        let pace = Pace::default();
        pace.set(Some(u64::MAX));
        let mut body = body(3 * PIECE, &pace);
        body.frame().await.unwrap().unwrap();
        assert_eq!(body.size_hint().exact(), Some(2 * PIECE as u64));
    }

    #[tokio::test(start_paused = true)]
    async fn pieces_that_are_late_together_leave_one_by_one() {
        let pace = Pace::default();
        pace.set(Some(MIB as u64));
        let mut body = body(4 * PIECE, &pace);
        let mut cx = Context::from_waker(Waker::noop());
        let mut poll = || Pin::new(&mut body).poll_frame(&mut cx).is_ready();
        assert!(poll(), "the first one");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!([poll(), poll(), poll()], [false, true, false]);
    }
}
