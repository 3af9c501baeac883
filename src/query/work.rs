//! A statement at work, and the rows that come of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};

use super::audit::{Read, State};
use super::error::Refused;
use super::statement::Session;

/// Makes a statement's rows.
pub struct Work {
    pub session: Session,
    pub plan: LogicalPlan,
    pub text: String,
    pub rows: mpsc::Sender<RecordBatch>,
    /// Rows that were taken.
    pub given: Arc<AtomicU64>,
}

impl Work {
    /// Tells of its columns, makes its rows until it is `stopped`, and tells how it ended.
    pub async fn run(
        self,
        mut begun: oneshot::Sender<SchemaRef>,
        stopped: oneshot::Receiver<()>,
        end: oneshot::Sender<Result<(), Refused>>,
    ) {
        let (session, given) = (self.session.clone(), Arc::clone(&self.given));
        let began = OnceLock::new();
        let answer = async {
            let _places = session.turn().await?;
            let begins = session.begin(&self.plan, self.text.clone());
            let (stream, read) = tokio::select! {
                // Nobody waits for it.
                () = begun.closed() => return Ok(()),
                begins = begins => begins?,
            };
            // It begins once.
            let _ = began.set(read);
            let _ = begun.send(stream.schema());
            self.pump(stream).await
        };
        let ended = tokio::select! {
            _ = stopped => None,
            ended = answer => Some(ended),
        };
        let rows = given.load(Ordering::Relaxed);
        let state = if matches!(ended, Some(Ok(()))) { State::Done { rows } } else { State::Stopped { rows } };
        // Who stopped it knows.
        let _ = ended.map(|ended| end.send(ended));
        if let (Some(audit), Some(read)) = (session.engine().audit(), began.into_inner().flatten())
            && let Err(error) = audit.keep(Read { state, ..read }).await
        {
            tracing::warn!(error, "the end of a read could not be recorded; its beginning is");
        }
    }

    async fn pump(&self, mut stream: SendableRecordBatchStream) -> Result<(), Refused> {
        let mut fresh = true;
        loop {
            let next = tokio::select! {
                // Nobody waits for the rest.
                () = self.rows.closed() => return Ok(()),
                next = stream.next() => next,
            };
            match next {
                None => return Ok(()),
                Some(Ok(batch)) => {
                    fresh = false;
                    let rows = batch.num_rows() as u64;
                    if self.rows.send(batch).await.is_err() {
                        return Ok(());
                    }
                    self.given.fetch_add(rows, Ordering::Relaxed);
                }
                // A file was merged or erased between the list and the read: the newest list has others.
                Some(Err(error)) if fresh && is_gone(&error) => {
                    fresh = false;
                    self.session.forget_files().await;
                    stream = self.session.execute(&self.session.optimised(&self.plan)?).await?;
                }
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }
}

fn is_gone(error: &DataFusionError) -> bool {
    let gone = |error: &object_store::Error| matches!(error, object_store::Error::NotFound { .. });
    match error.find_root() {
        DataFusionError::ObjectStore(error) => gone(error),
        // The reader of Parquet wraps what the store said.
        other => other.to_string().contains("not found"),
    }
}

/// A statement's rows.
pub struct Results {
    pub schema: SchemaRef,
    taken: mpsc::Receiver<RecordBatch>,
    outcome: oneshot::Receiver<Result<(), Refused>>,
    /// The outcome was taken, and was good.
    ended: bool,
}

impl Results {
    /// Rows that somebody else makes: `taken` gives them, `outcome` says how it ended.
    pub fn of(
        schema: SchemaRef,
        taken: mpsc::Receiver<RecordBatch>,
        outcome: oneshot::Receiver<Result<(), Refused>>,
    ) -> Results {
        Results { schema, taken, outcome, ended: false }
    }

    /// As [`Self::of`], when the outcome was taken and is good.
    pub fn ended(
        schema: SchemaRef,
        taken: mpsc::Receiver<RecordBatch>,
        outcome: oneshot::Receiver<Result<(), Refused>>,
    ) -> Results {
        Results { ended: true, ..Results::of(schema, taken, outcome) }
    }

    /// The next rows; `None` after the last ones.
    ///
    /// # Errors
    /// When the statement failed or was stopped.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, Refused> {
        if !self.ended {
            tokio::select! {
                biased;
                batch = self.taken.recv() => if batch.is_some() { return Ok(batch) },
                // It may be stopped while it still makes rows.
                ended = &mut self.outcome => {
                    self.ended = true;
                    ended.unwrap_or(Err(Refused::Broken))?;
                }
            }
        }
        if let Some(batch) = self.taken.recv().await {
            return Ok(Some(batch));
        }
        match std::mem::replace(&mut self.ended, true) {
            true => Ok(None),
            false => (&mut self.outcome).await.unwrap_or(Err(Refused::Broken)).map(|()| None),
        }
    }
}
