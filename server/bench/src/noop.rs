//! The server that does nothing: reads the request's body as Tessera must, and answers fixed bytes.

use std::io::Write as _;

use axum::{Router, body::Bytes, http::header, routing::post};

use crate::Outcome;

/// Serves `answer` until killed; prints its address first.
pub(crate) fn serve(answer: &str) -> Outcome<()> {
    let answer = Bytes::from(answer.to_owned());
    let handler = move |_body: Bytes| {
        let answer = answer.clone();
        async move {
            (
                [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")],
                answer,
            )
        }
    };
    let router = Router::new().route("/api/v1/verify", post(handler));
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(
        async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            writeln!(std::io::stdout(), "http://{address}")?;
            axum::serve(listener, router).await?;
            Ok(())
        },
    )
}
