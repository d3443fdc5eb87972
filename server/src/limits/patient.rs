//! Responses that clients must read in time. A response that waits too long for its client is
//! dropped together with its place. So is a response whose place is needed for another one. The
//! client notices when it reads on: HTTP/2 then resets the stream, and HTTP/1.1 closes the
//! connection. HTTP/2 closes the connection of a peer that reads nothing
//! ([`unsent`](crate::serve)).
//!
//! A response that waits for the server, such as an export that waits for its next page, does not
//! wait for its client: it keeps its place, and its time does not run.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use bytes::Buf as _;
use futures::task::AtomicWaker;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::{
    sync::oneshot,
    time::{Sleep, sleep},
};

use super::room::{Leaving, Seat};

/// Maximum size of a part of a response that is handed on at a time. HTTP/2 keeps up to two such
/// parts for a peer that reads nothing, even after the place is given back: one in h2, and one that
/// waits for it.
pub(super) const PIECE: usize = 8 * 1024;
/// The number of times that a part of a response tries to get room before the response is dropped.
/// The first `POLITE_TRIES` take only free room; later ones also make other responses give way.
const TRIES: u32 = 50;
const POLITE_TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// How long a response waits for its client.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// This long in total.
    InAll(Duration),
    /// This long each time, until the client reads some more of it.
    EachTime(Duration),
}

/// The place of a response.
pub(super) trait Place: Send + 'static {
    /// Takes room for a part of the response that is ready. If `others_give_way`, makes room by
    /// dropping other responses. Reports whether there is room.
    fn holds(&mut self, _bytes: usize, _others_give_way: bool) -> bool {
        true
    }

    /// Records that the client read this many bytes.
    fn moved(&self, _bytes: usize) {}

    /// Waits for the server, which produces more of the response, from now on.
    fn works(&mut self) {}

    /// Waits for the client from now on.
    fn waits(&self) {}

    /// Returns the signal that the place was given to another response, if this can happen.
    fn leaving(&self) -> Option<Leaving> {
        None
    }
}

impl Place for Arc<Seat> {
    fn moved(&self, bytes: usize) {
        Seat::moved(self, bytes);
    }

    fn works(&mut self) {
        self.work();
    }

    fn waits(&self) {
        self.wait();
    }

    fn leaving(&self) -> Option<Leaving> {
        Some(Seat::leaving(self))
    }
}

/// A response that has a place until it is fully read.
pub(super) struct Patient<P> {
    content: Arc<Mutex<Option<Content<P>>>>,
    taken: Arc<AtomicU64>,
    /// The task that polls for more of the response. It must learn when the rest is dropped.
    polls: Arc<AtomicWaker>,
    /// Ends the wait when dropped.
    _sent: oneshot::Sender<()>,
}

/// The rest of a response.
struct Content<P> {
    read: Bytes,
    body: Body,
    place: P,
    /// Whether the server is producing more of it, so that it does not wait for its client.
    is_made: bool,
    homeless: Option<Homeless>,
}

/// A part of a response that is ready but has no room yet.
struct Homeless {
    data: Bytes,
    tries: u32,
    pause: Pin<Box<Sleep>>,
}

impl<P: Place> Content<P> {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while self.read.is_empty() {
            if self.homeless.is_some() {
                match self.house(context) {
                    Poll::Ready(true) => continue,
                    Poll::Ready(false) => return Poll::Ready(Some(Err(dropped()))),
                    Poll::Pending => return Poll::Pending,
                }
            }
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                if !self.is_made {
                    self.is_made = true;
                    self.place.works();
                }
                return Poll::Pending;
            };
            let data = match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => Some(data),
                Some(Ok(Err(frame))) => return Poll::Ready(Some(Ok(frame))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => None,
            };
            let Some(data) = data else {
                self.is_over();
                return Poll::Ready(None);
            };
            if self.place.holds(data.len(), false) {
                self.read = data;
                self.is_over();
            } else {
                // Until the part has room, the response waits for the server.
                if !self.is_made {
                    self.is_made = true;
                    self.place.works();
                }
                self.homeless = Some(Homeless { data, tries: 0, pause: Box::pin(sleep(PAUSE)) });
            }
        }
        let length = self.read.len().min(PIECE);
        // Copy the part: a slice would keep the whole buffer in memory.
        let piece = Bytes::copy_from_slice(&self.read[..length]);
        self.read.advance(length);
        self.place.moved(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    /// Records that the next part is ready.
    fn is_over(&mut self) {
        if self.is_made {
            self.is_made = false;
            self.place.waits();
        }
    }

    /// Finds room for the part that has none, and reports whether it succeeded. Other clients read
    /// their responses meanwhile, so at first no other response has to give way.
    fn house(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let Some(homeless) = &mut self.homeless else { return Poll::Ready(true) };
        loop {
            std::task::ready!(homeless.pause.as_mut().poll(context));
            homeless.tries += 1;
            if self.place.holds(homeless.data.len(), homeless.tries > POLITE_TRIES) {
                break;
            }
            if homeless.tries >= TRIES {
                return Poll::Ready(false);
            }
            homeless.pause = Box::pin(sleep(PAUSE));
        }
        self.read = std::mem::take(&mut homeless.data);
        self.homeless = None;
        self.is_over();
        Poll::Ready(true)
    }

    fn size_hint(&self) -> SizeHint {
        let homeless = self.homeless.as_ref().map_or(0, |homeless| homeless.data.len());
        let read = (self.read.len() + homeless) as u64;
        let mut hint = self.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + read);
        }
        hint.set_lower(hint.lower() + read);
        hint
    }
}

impl<P: Place> Patient<P> {
    /// Returns a response with this body and place.
    pub(super) fn body(body: Body, place: P, patience: Patience) -> Body {
        let leaving = place.leaving();
        let content = Content { read: Bytes::new(), body, place, is_made: false, homeless: None };
        let content = Arc::new(Mutex::new(Some(content)));
        let taken = Arc::new(AtomicU64::new(0));
        let (sent, mut all_is_sent) = oneshot::channel();
        let polls = Arc::<AtomicWaker>::default();
        let (waiting, asked, told) = (Arc::clone(&content), Arc::clone(&taken), Arc::clone(&polls));
        tokio::spawn(async move {
            let mut before = asked.load(Ordering::Relaxed);
            let limit = match patience {
                Patience::InAll(limit) | Patience::EachTime(limit) => limit,
            };
            loop {
                tokio::select! {
                    _ = &mut all_is_sent => return,
                    () = sleep(limit) => {}
                    () = gave_way(leaving.as_ref()) => {
                        drop(lock(&waiting).take());
                        told.wake();
                        return;
                    }
                }
                let now = asked.load(Ordering::Relaxed);
                let mut content = lock(&waiting);
                let is_made = content.as_ref().is_some_and(|content| content.is_made);
                if (now == before && !is_made) || matches!(patience, Patience::InAll(_)) {
                    drop(content.take());
                    drop(content);
                    told.wake();
                    return;
                }
                drop(content);
                before = now;
            }
        });
        Body::new(Self { content, taken, polls, _sent: sent })
    }
}

impl<P: Place> HttpBody for Patient<P> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.polls.register(context.waker());
        match &mut *lock(&self.content) {
            Some(left) => left.poll_frame(context),
            None => Poll::Ready(Some(Err(dropped()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        let content = lock(&self.content);
        content.as_ref().is_some_and(|left| {
            left.read.is_empty() && left.homeless.is_none() && left.body.is_end_stream()
        })
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.content).as_ref().map_or_else(SizeHint::default, Content::size_hint)
    }
}

impl<P> Drop for Patient<P> {
    fn drop(&mut self) {
        // The waiting task shares the content and may run later.
        drop(lock(&self.content).take());
    }
}

fn dropped() -> axum::Error {
    axum::Error::new(io::Error::from(io::ErrorKind::TimedOut))
}

async fn gave_way(leaving: Option<&Leaving>) {
    match leaving {
        Some(leaving) => leaving.gave_way().await,
        None => std::future::pending().await,
    }
}

fn lock<P>(content: &Mutex<Option<Content<P>>>) -> MutexGuard<'_, Option<Content<P>>> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    struct Free;

    impl Place for Free {}

    #[tokio::test(start_paused = true)]
    async fn body_that_times_out_returns_an_error_to_its_reader() {
        let body = Body::from_stream(futures::stream::pending::<io::Result<Bytes>>());
        let second = Duration::from_secs(1);
        let mut body = Patient::body(body, Free, Patience::InAll(second));
        let read = tokio::spawn(async move { body.frame().await });
        sleep(10 * second).await;
        assert!(read.is_finished());
        assert!(read.await.unwrap().unwrap().is_err());
    }
}
