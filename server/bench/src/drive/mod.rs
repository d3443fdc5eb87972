//! The load generator: persistent connections from one thread.
//!
//! In a closed run, each connection sends its next request as soon as it has a response, which
//! measures the maximum throughput. In an open run, requests are due at a constant rate whatever
//! the server does, and latency is measured from the moment a request was due, so that a stalling
//! server is charged for the requests that had to wait.

mod answer;
mod histogram;
pub(crate) mod http2;
mod requests;

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read as _, Write as _},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};

use self::answer::Layout;
pub(crate) use self::{
    answer::field,
    histogram::Histogram,
    requests::{Order, Requests, TOKEN, random},
};
use crate::Outcome;

/// How long to wait for responses after the last request.
const PATIENCE: Duration = Duration::from_secs(20);

/// The target and the shape of the load.
pub(crate) struct Load<'a> {
    pub(crate) url: &'a str,
    pub(crate) requests: &'a Requests,
    pub(crate) connections: usize,
    pub(crate) seconds: f64,
    /// Requests due per second; `None` for a closed run.
    pub(crate) rate: Option<f64>,
}

/// The results of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Responses per second.
    pub(crate) per_second: f64,
    /// The total number of responses.
    pub(crate) answers: u64,
    pub(crate) times: Histogram,
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    filled: usize,
    layout: Layout,
    since: Instant,
}

/// Returns the current time. Only this function reads the clock.
#[expect(clippy::disallowed_methods, reason = "real time is measured")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Sends one request on a new connection and returns the whole response.
pub(crate) fn exchange(url: &str, request: &[u8]) -> Outcome<Vec<u8>> {
    let mut stream = std::net::TcpStream::connect(address(url))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let (mut answer, mut layout) = (Vec::new(), Layout::default());
    let mut piece = [0; 16_384];
    while !layout.is_whole(&answer) {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Err("the server closed the connection".into());
        }
        answer.extend_from_slice(&piece[..read]);
    }
    Ok(answer)
}

fn address(url: &str) -> &str {
    url.trim_start_matches("http://").trim_end_matches('/')
}

impl Load<'_> {
    /// Sends requests for the given time. Every response must be a success.
    pub(crate) fn run(&self) -> Outcome<Report> {
        let mut poll = Poll::new()?;
        let mut connections = Vec::new();
        for index in 0..self.connections {
            connections.push(self.connect(&poll, index)?);
        }
        let begin = now();
        let end = begin + Duration::from_secs_f64(self.seconds);
        let times = match self.rate {
            None => self.closed(&mut poll, &mut connections, end)?,
            Some(rate) => self.open(&mut poll, &mut connections, (begin, end), rate)?,
        };
        let answers = times.total();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        Ok(Report { per_second: answers as f64 / self.seconds, answers, times })
    }

    fn connect(&self, poll: &Poll, index: usize) -> Outcome<Connection> {
        Ok(Connection {
            stream: self.stream(poll, Token(index))?,
            request: self.requests.first().to_vec(),
            answer: vec![0; 16_384],
            filled: 0,
            layout: Layout::default(),
            since: now(),
        })
    }

    fn stream(&self, poll: &Poll, token: Token) -> Outcome<TcpStream> {
        let stream = std::net::TcpStream::connect(address(self.url))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, token, Interest::READABLE)?;
        Ok(stream)
    }

    /// Reconnects if the server closes a connection after a number of requests, as nginx does.
    fn renew(&self, poll: &Poll, connection: &mut Connection, token: Token) -> Outcome<()> {
        if connection.layout.is_last {
            connection.stream = self.stream(poll, token)?;
        }
        Ok(())
    }

    fn closed(
        &self,
        poll: &mut Poll,
        connections: &mut [Connection],
        end: Instant,
    ) -> Outcome<Histogram> {
        let mut times = Histogram::default();
        for connection in connections.iter_mut() {
            connection.send(self.requests, now())?;
        }
        let mut busy = connections.len();
        let mut events = Events::with_capacity(256);
        while busy > 0 {
            wait(poll, &mut events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err("the server no longer responds".into());
            }
            for event in &events {
                let connection = &mut connections[event.token().0];
                if !connection.receive()? {
                    continue;
                }
                let time = now();
                self.renew(poll, connection, event.token())?;
                if time < end {
                    times.record(nanoseconds(time - connection.since));
                    connection.send(self.requests, time)?;
                } else {
                    busy -= 1;
                }
            }
        }
        Ok(times)
    }

    fn open(
        &self,
        poll: &mut Poll,
        connections: &mut [Connection],
        (begin, end): (Instant, Instant),
        rate: f64,
    ) -> Outcome<Histogram> {
        let mut times = Histogram::default();
        let mut idle: VecDeque<usize> = (0..connections.len()).collect();
        let interval = 1e9 / rate;
        let mut sent = 0_u32;
        let mut due = begin;
        let mut events = Events::with_capacity(256);
        loop {
            let time = now();
            while due <= time && due < end {
                let Some(index) = idle.pop_front() else { break };
                // Measured from when the request was due, not from when it could be sent.
                connections[index].send(self.requests, due)?;
                sent += 1;
                due = begin + Duration::from_secs_f64(f64::from(sent) * interval / 1e9);
            }
            if due >= end && idle.len() == connections.len() {
                return Ok(times);
            }
            if time > end + PATIENCE {
                return Err("the server cannot keep up with the rate".into());
            }
            // Sleeping would delay requests.
            wait(poll, &mut events, Some(Duration::ZERO))?;
            for event in &events {
                let index = event.token().0;
                let connection = &mut connections[index];
                if connection.receive()? {
                    times.record(nanoseconds(now().saturating_duration_since(connection.since)));
                    self.renew(poll, connection, event.token())?;
                    idle.push_back(index);
                }
            }
        }
    }
}

impl Connection {
    fn send(&mut self, requests: &Requests, since: Instant) -> Outcome<()> {
        requests.advance(&mut self.request);
        self.since = since;
        // A request is far smaller than a socket's buffer.
        let written = self.stream.write(&self.request)?;
        if written == self.request.len() {
            Ok(())
        } else {
            Err("a request was only partly sent".into())
        }
    }

    /// Reports whether the response is complete.
    fn receive(&mut self) -> Outcome<bool> {
        loop {
            if self.filled == self.answer.len() {
                self.answer.resize(self.filled * 2, 0);
            }
            let read = match self.stream.read(&mut self.answer[self.filled..]) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let full = self.filled + read == self.answer.len();
            self.filled += read;
            let answer = &self.answer[..self.filled];
            if self.layout.is_whole(answer) {
                if answer.get(8..11) != Some(b" 20") {
                    return Err(format!(
                        "the server refused a request: {}",
                        String::from_utf8_lossy(answer)
                    )
                    .into());
                }
                self.filled = 0;
                return Ok(true);
            }
            if !full {
                // More data causes another event.
                return Ok(false);
            }
        }
    }
}

fn wait(poll: &mut Poll, events: &mut Events, timeout: Option<Duration>) -> Outcome<()> {
    match poll.poll(events, timeout) {
        Err(error) if error.kind() != ErrorKind::Interrupted => Err(error.into()),
        _ => Ok(()),
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
