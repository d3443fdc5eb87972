//! Threads for everything but verifications.
//!
//! All work for a request of the console, of the managing API or of another product's API runs on
//! these threads, which have a lower priority than the threads that verify (on Linux). So no page,
//! list or import delays a verification, not even through a bug. Work that takes longer than a
//! millisecond leaves these threads as well: `authority::work` has separate threads for it.
//!
//! The response body is produced here, too; the connection only sends it.

use std::{convert::Infallible, io, sync::Arc, thread, time::Duration};

use authority::lower_priority;
use axum::{
    body::{Body, Bytes},
    response::{IntoResponse as _, Response},
};
use domain::problem::ProblemCode;
use futures::stream;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::mpsc,
    task::AbortHandle,
};

use crate::{http, limits::strangers, problem::ApiError};

/// How much lower than the verifying threads these threads run (`nice`).
const NICE: i32 = 5;
/// The paths that the verifying threads answer: verifications, and the checks of load balancers.
const ASKING: [&str; 6] = [
    http::FORWARD_PATH,
    "/api/v1/verify",
    "/api/v1/verify/batch",
    "/oauth2/introspect",
    "/healthz",
    "/readyz",
];

/// The threads, which stop when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Managing(Arc<Threads>);

struct Threads {
    /// Taken only by `drop`.
    runtime: Option<Runtime>,
    handle: Handle,
    /// How long every request blocks its thread. Only drills set it.
    stall: Option<Duration>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Doesn't wait for the threads, because this may be an asynchronous thread.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Aborts the work for a client that has disconnected.
struct Client(AbortHandle);

impl Drop for Client {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Managing {
    /// Starts as many threads as the server has for verifications, with stacks of this size.
    pub(super) fn start(stack: usize, stall: Option<Duration>) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("managing")
            .thread_stack_size(stack)
            .on_thread_start(|| lower_priority(NICE))
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self(Arc::new(Threads { runtime: Some(runtime), handle, stall })))
    }

    /// Reports whether these threads answer requests for this path.
    pub(super) fn answers(path: &str) -> bool {
        !ASKING.contains(&path)
    }

    /// Spawns a task in the background.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.0.handle.spawn(task).abort_handle()
    }

    /// Runs a request on these threads and returns its response.
    pub(super) async fn answer(
        &self,
        answer: impl Future<Output = Result<Response, Infallible>> + Send + 'static,
    ) -> Response {
        let stall = self.0.stall;
        let task = self.0.handle.spawn(async move {
            if let Some(stall) = stall {
                thread::sleep(stall);
            }
            let Ok(response) = answer.await;
            strangers::keep(whole(response))
        });
        let _client = Client(task.abort_handle());
        match task.await {
            Ok(response) => response,
            // A panic became a response earlier, so the server is stopping.
            Err(_) => {
                ApiError::new(ProblemCode::Unavailable, "Tessera is shutting down.").into_response()
            }
        }
    }
}

/// Returns a response whose body needs no work on other threads. A body that is still being
/// produced is produced here, one piece ahead of the sent ones.
fn whole(response: Response) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|mut body| {
        let (pieces, sent) = mpsc::channel::<Result<Bytes, axum::Error>>(1);
        tokio::spawn(async move {
            loop {
                let piece = tokio::select! {
                    frame = body.frame() => frame,
                    () = pieces.closed() => None,
                };
                let piece = match piece {
                    Some(Ok(frame)) => frame.into_data().map(Ok).ok(),
                    Some(Err(error)) => Some(Err(error)),
                    None => return,
                };
                if let Some(piece) = piece
                    && pieces.send(piece).await.is_err()
                {
                    return;
                }
            }
        });
        Body::from_stream(stream::unfold(sent, async |mut sent| {
            sent.recv().await.map(|piece| (piece, sent))
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Bytes {
        Bytes::from(thread::current().name().unwrap_or_default().to_owned())
    }

    #[tokio::test]
    async fn response_and_body_are_produced_on_managing_threads() {
        let managing = Managing::start(1024 * 1024, None).unwrap();
        let response = managing.answer(async {
            let pieces = stream::unfold(0, async |count| {
                (count < 2).then(|| (Ok::<_, Infallible>(here()), count + 1))
            });
            let mut response = Response::new(Body::from_stream(pieces));
            response.headers_mut().insert("by", here().to_vec().try_into().unwrap());
            Ok(response)
        });
        let response = response.await;
        assert_eq!(response.headers()["by"], "managing");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "managingmanaging");
    }

    #[tokio::test]
    async fn response_is_cancelled_when_its_client_disconnects() {
        let managing = Managing::start(1024 * 1024, None).unwrap();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (held, given_up) = tokio::sync::oneshot::channel::<()>();
        let asking = tokio::spawn(async move {
            managing
                .answer(async move {
                    let _held = held;
                    let _ = begun.send(());
                    std::future::pending().await
                })
                .await
        });
        has_begun.await.unwrap();
        asking.abort();
        assert!(given_up.await.is_err());
    }
}
