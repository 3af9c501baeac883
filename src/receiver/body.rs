//! Reading a request's body: bounded in bytes, in time and by the budget.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, EXPECT};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::budget::Permit;
use super::config::Limits;
use super::encoding::{Encoding, Held};
use super::intake::Intake;
use super::refusal::Refusal;
use crate::auth::Caller;

/// How long a refused body is read on, so that the client gets to the reply.
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// Room that is set aside for what a request announces, bytes at most: announcing costs nothing.
const RESERVED: usize = 1 << 20;

/// Reads one body.
pub struct Reader {
    body: Body,
    read: BytesMut,
    /// `None`: nothing may be read but to throw it away.
    permit: Option<Permit>,
    limits: Limits,
    /// Most bytes that this body may have.
    limit: usize,
    started: Instant,
    /// The client waits for `100 Continue` before it sends, which a refusal never gives.
    waits: bool,
    /// The connection gave all it had, or broke.
    done: bool,
}

impl Reader {
    /// A reader for a body of at most `limit` bytes.
    pub fn new(headers: &HeaderMap, body: Body, limits: Limits, limit: usize) -> Reader {
        let waits = headers.contains_key(EXPECT);
        Reader { body, read: BytesMut::new(), permit: None, limits, limit, started: Instant::now(), waits, done: false }
    }

    /// What is read from now on counts against this permit.
    pub fn count_against(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// Reads until at least `bytes` are there; fewer when the body ends before. What was read so far.
    pub async fn fill(&mut self, bytes: usize) -> Result<&[u8], Refusal> {
        while self.read.len() < bytes && !self.done {
            self.step().await?;
        }
        Ok(&self.read)
    }

    /// Reads the rest and gives all of it.
    pub async fn finish(&mut self) -> Result<Held, Refusal> {
        if self.body.size_hint().lower() > (self.limit - self.read.len().min(self.limit)) as u64 {
            return Err(Refusal::TooLarge { limit: self.limit });
        }
        while !self.done {
            self.step().await?;
        }
        let permit = self.permit.take().ok_or(Refusal::Busy)?;
        Ok(Held { bytes: self.read.split().freeze(), permit })
    }

    async fn step(&mut self) -> Result<(), Refusal> {
        let Some(data) = self.frame(self.deadline()).await? else { return Ok(()) };
        let length = self.read.len() + data.len();
        if length > self.limit {
            return Err(Refusal::TooLarge { limit: self.limit });
        }
        self.permit.as_mut().ok_or(Refusal::Busy)?.cover(length)?;
        let rest = usize::try_from(self.body.size_hint().lower()).unwrap_or(usize::MAX);
        if self.read.is_empty() && rest == 0 {
            // A body of one frame, which most are, is not copied.
            self.read = BytesMut::from(data);
            return Ok(());
        }
        if self.read.is_empty() {
            // What is announced, within reason: a buffer that grows is there twice each time.
            self.read.reserve(rest.min(RESERVED) + data.len());
        }
        self.read.extend_from_slice(&data);
        Ok(())
    }

    fn deadline(&self) -> Instant {
        let earned = Duration::from_secs((self.read.len() / self.limits.body_rate.max(1)) as u64);
        let time = self.limits.body_grace + earned;
        self.started + self.limits.body_time.map_or(time, |most| most.min(time))
    }

    async fn frame(&mut self, deadline: Instant) -> Result<Option<Bytes>, Refusal> {
        let frame = timeout_at(deadline, self.body.frame()).await.map_err(|_| Refusal::TooSlow);
        match frame {
            Ok(Some(Ok(frame))) => Ok(frame.into_data().ok()),
            Ok(None) => {
                self.done = true;
                Ok(None)
            }
            Ok(Some(Err(_))) => {
                self.done = true;
                Err(Refusal::Cut)
            }
            Err(slow) => {
                self.done = true;
                Err(slow)
            }
        }
    }

    /// Reads on without keeping anything, up to the limit once more: closing on a client that still sends would reset
    /// its connection, often before it has seen the reply, and it would come back with the same request.
    pub async fn discard(mut self) {
        let deadline = Instant::now() + DISCARD_TIME;
        self.read.clear();
        let mut discarded = 0;
        while !self.done && !self.waits && discarded <= self.limit {
            match self.frame(deadline).await {
                Ok(data) => discarded += data.map_or(0, |data| data.len()),
                Err(_) => return,
            }
        }
    }
}

/// Reads the body of an HTTP request and undoes its content encoding.
pub async fn receive(
    intake: &Intake,
    caller: &Caller,
    headers: &HeaderMap,
    reader: &mut Reader,
) -> Result<Held, Refusal> {
    reader.count_against(intake.permit(caller)?);
    let encoding = Encoding::of(headers.get_all(CONTENT_ENCODING), reader.limits.encodings)?;
    let held = reader.finish().await?;
    decode(intake, encoding, held, reader.limits.body_bytes).await
}

/// Undoes an encoding, away from the async threads where that may take long.
pub async fn decode(intake: &Intake, encoding: Encoding, held: Held, limit: usize) -> Result<Held, Refusal> {
    if encoding == Encoding::Identity {
        return Ok(held);
    }
    // A compressed byte may stand for hundreds.
    let work = held.bytes.len().saturating_mul(16);
    intake.workers().run(work, move || encoding.decode(held, limit)).await?
}
