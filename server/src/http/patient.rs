//! Answers that their callers have to take in time. One that waits for too long is dropped together with the place
//! that it has. So is one whose place others need. The caller sees that when it takes more: HTTP/2 then resets the stream,
//! and HTTP/1.1 closes the connection. HTTP/2 ends the connection of a peer that takes nothing
//! ([`unsent`](crate::serve)).
//!
//! An answer that waits for the server, such as an export that waits for its next page, waits for nobody else: it keeps
//! its place, and its time does not run.

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

/// The most of an answer that is handed on at a time. HTTP/2 keeps up to two such pieces for a peer that takes nothing,
/// also when the place is given back: one in h2, and one that waits for it.
pub(super) const PIECE: usize = 8 * 1024;
/// How often a part of an answer looks for room before the answer is dropped: at first for room that is free, then for
/// room of others.
const TRIES: u32 = 50;
const POLITE_TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// How long an answer waits for its caller.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// For so long in all.
    InAll(Duration),
    /// For so long until the caller takes some more of it.
    EachTime(Duration),
}

/// A place that an answer has.
pub(super) trait Place: Send + 'static {
    /// Takes room for a part of the answer that was made, or makes it: then others may give way. Reports whether there
    /// is room.
    fn holds(&mut self, _bytes: usize, _others_give_way: bool) -> bool {
        true
    }

    /// Notes that the caller took so many bytes.
    fn moved(&self, _bytes: usize) {}

    /// Waits for the server from now on, which makes more of the answer.
    fn works(&mut self) {}

    /// Waits for the caller from now on.
    fn waits(&self) {}

    /// Returns the word that the place is given up for others, if that may be.
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

/// An answer that has a place until all of it was taken.
pub(super) struct Patient<P> {
    content: Arc<Mutex<Option<Content<P>>>>,
    taken: Arc<AtomicU64>,
    /// Who polls for more of it: has to see when the rest is dropped.
    polls: Arc<AtomicWaker>,
    /// Ends the wait when dropped.
    _sent: oneshot::Sender<()>,
}

/// The rest of an answer.
struct Content<P> {
    read: Bytes,
    body: Body,
    place: P,
    /// Whether the server makes more of it, so that it does not wait for its caller.
    is_made: bool,
    homeless: Option<Homeless>,
}

/// A part of an answer that was made and has no room yet.
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
                // Until it has room, it waits for the server.
                if !self.is_made {
                    self.is_made = true;
                    self.place.works();
                }
                self.homeless = Some(Homeless { data, tries: 0, pause: Box::pin(sleep(PAUSE)) });
            }
        }
        let length = self.read.len().min(PIECE);
        // A copy: a part of the answer's bytes would keep all of them.
        let piece = Bytes::copy_from_slice(&self.read[..length]);
        self.read.advance(length);
        self.place.moved(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    /// The next part is made.
    fn is_over(&mut self) {
        if self.is_made {
            self.is_made = false;
            self.place.waits();
        }
    }

    /// Finds room for the part that has none. Reports whether there was any. Readers take their answers meanwhile, so
    /// nobody gives way at first.
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
    /// Returns an answer with this body and place.
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
        // The waiting task holds the content, too, and may run later.
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
    async fn who_waits_for_more_sees_that_the_rest_was_dropped() {
        let body = Body::from_stream(futures::stream::pending::<io::Result<Bytes>>());
        let second = Duration::from_secs(1);
        let mut body = Patient::body(body, Free, Patience::InAll(second));
        let read = tokio::spawn(async move { body.frame().await });
        sleep(10 * second).await;
        assert!(read.is_finished());
        assert!(read.await.unwrap().unwrap().is_err());
    }
}
