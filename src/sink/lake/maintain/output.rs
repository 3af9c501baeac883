//! The files that a merge writes: streamed to the store, a row group in memory.

use arrow::array::{AsArray, RecordBatch};

use super::choose::Form;
use crate::clock::Clock;
use crate::model::LakeKey;
use crate::sink::lake::parquet::{FileWriter, Shape};
use crate::sink::lake::place::Place;
use crate::sink::lake::stats::FileStats;
use crate::sink::lake::tags::{Gathered, MOST_LISTED, MOST_SKETCHED};
use crate::sink::lake::upload::Upload;
use crate::sink::lake::{LakeError, NewFile, TableFile, Tags, log};

/// A file ends when it has that many bytes, or nearly as many sessions as its tags may name.
pub const TARGET: u64 = 128 << 20;
/// Sessions that one batch brings at most.
const MARGIN: usize = 4096;

/// Sessions that the tags of a file can name.
fn most_sessions(form: Form) -> usize {
    match form {
        Form::Hot => MOST_LISTED,
        Form::Final => MOST_SKETCHED,
    }
}

/// Where rows go, in order.
pub struct Outputs {
    place: Place,
    clock: Clock,
    key: LakeKey,
    date: i32,
    form: Form,
    open: Option<Output>,
    done: Vec<NewFile>,
}

struct Output {
    path: String,
    written: i64,
    writer: FileWriter,
    upload: Upload,
    stats: FileStats,
    sessions: Gathered,
    rows: usize,
}

impl Outputs {
    pub fn new(place: Place, clock: Clock, key: LakeKey, date: i32, form: Form) -> Outputs {
        Outputs { place, clock, key, date, form, open: None, done: Vec::new() }
    }

    /// Writes rows of about `bytes` in memory.
    pub async fn write(&mut self, batch: &RecordBatch, bytes: usize) -> Result<(), LakeError> {
        let mut output = match self.open.take() {
            Some(output) => output,
            None => self.start().await?,
        };
        let written = output.write(batch, bytes).await;
        let full = output.upload.size() >= TARGET || output.sessions.count() + MARGIN >= most_sessions(self.form);
        self.open = Some(output);
        written?;
        if full {
            self.end().await?;
        }
        Ok(())
    }

    async fn start(&self) -> Result<Output, LakeError> {
        let kind = self.place.kind;
        let path = log::new_path(kind, self.date);
        let shape = match self.form {
            Form::Hot => Shape::hot(0),
            Form::Final => Shape::lasting(),
        };
        let writer = FileWriter::new(&path, kind, shape)?;
        let written = self.clock.now();
        let upload = Upload::start(&self.place.store, &self.place.file(&path)).await?;
        Ok(Output {
            path,
            written,
            writer,
            upload,
            stats: FileStats::new(kind),
            sessions: Gathered::new(self.key.clone()),
            rows: 0,
        })
    }

    async fn end(&mut self) -> Result<(), LakeError> {
        let Some(output) = self.open.take() else { return Ok(()) };
        let Output { path, written, writer, mut upload, stats, sessions, rows, .. } = output;
        upload.write(writer.finish()?).await?;
        let size = upload.finish().await?;
        let sessions = match self.form {
            Form::Hot => Tags::list(sessions.finish()),
            Form::Final => Tags::lasting(sessions.finish()),
        };
        let file = TableFile { path, size, date: self.date, sessions, lasting: self.form == Form::Final };
        self.done.push(NewFile { file, rows, stats: stats.json(), written });
        Ok(())
    }

    /// The files, all of them there.
    pub async fn finish(mut self) -> Result<Vec<NewFile>, LakeError> {
        match self.end().await {
            Ok(()) => Ok(std::mem::take(&mut self.done)),
            Err(error) => {
                self.discard().await;
                Err(error)
            }
        }
    }

    /// Takes everything away again.
    pub async fn discard(&mut self) {
        if let Some(output) = self.open.take() {
            output.upload.abort().await;
        }
        discard(&self.place, &std::mem::take(&mut self.done)).await;
    }
}

/// Removes files that no commit will name. What is left after a failure is an orphan, and swept a day later.
pub async fn discard(place: &Place, files: &[NewFile]) {
    for new in files {
        if let Err(error) = place.store.delete(&place.file(&new.file.path)).await {
            tracing::debug!(%error, "a file that is not needed is still there");
        }
    }
}

impl Output {
    async fn write(&mut self, batch: &RecordBatch, bytes: usize) -> Result<(), LakeError> {
        self.stats.add(batch);
        self.rows += batch.num_rows();
        if let Some(ids) = batch.column_by_name("session_id").and_then(|ids| ids.as_string_opt()) {
            self.sessions.add(ids);
        }
        self.writer.write(batch, bytes)?;
        self.upload.write(self.writer.take()).await
    }
}
