//! Rows as Arrow's messages (its IPC stream format), so that `sessionlake sql --server` has every type as the lake has it.
//! PostgreSQL's values have no names in records, no units of time, and fewer numbers.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::reader::StreamDecoder;
use datafusion::arrow::ipc::writer::StreamWriter;

/// Bytes of one message, about; a row that is larger is a message of its own.
const MESSAGE: usize = 1 << 20;

/// Makes messages of rows: one that describes the columns, some with rows, one that says that there are no more.
pub struct Encoder {
    writer: StreamWriter<Vec<u8>>,
    waiting: Option<RecordBatch>,
}

impl Encoder {
    /// # Errors
    /// When a column has a type that the format lacks.
    pub fn new(schema: &Schema) -> Result<Encoder, ArrowError> {
        Ok(Encoder { writer: StreamWriter::try_new(Vec::new(), schema)?, waiting: None })
    }

    /// The first message.
    pub fn columns(&mut self) -> Vec<u8> {
        std::mem::take(self.writer.get_mut())
    }

    /// Rows for the next messages; those before were all taken.
    pub fn give(&mut self, batch: RecordBatch) {
        self.waiting = Some(batch);
    }

    /// The next message with rows, and how many; `None` when all rows that were given are out.
    ///
    /// # Errors
    /// When the rows cannot be encoded: a fault of our own.
    pub fn rows(&mut self) -> Result<Option<(Vec<u8>, u64)>, ArrowError> {
        let Some(batch) = self.waiting.take().filter(|batch| batch.num_rows() > 0) else { return Ok(None) };
        // Views count what they share with rows that are not here: a message is smaller then, never larger.
        let fit = batch.num_rows().saturating_mul(MESSAGE) / batch.get_array_memory_size().max(1);
        let count = fit.clamp(1, batch.num_rows());
        self.writer.write(&own(&batch.slice(0, count))?)?;
        if count < batch.num_rows() {
            self.waiting = Some(batch.slice(count, batch.num_rows() - count));
        }
        Ok(Some((std::mem::take(self.writer.get_mut()), count as u64)))
    }

    /// The last message.
    ///
    /// # Errors
    /// When it was asked for before.
    pub fn end(&mut self) -> Result<Vec<u8>, ArrowError> {
        self.writer.finish()?;
        Ok(std::mem::take(self.writer.get_mut()))
    }
}

/// The rows without the bytes of others that views hold on to.
fn own(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()) as ArrayRef,
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => Arc::clone(column),
    });
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns.collect(), &rows)
}

/// Makes rows of messages again.
#[derive(Default)]
pub struct Decoder(StreamDecoder);

impl Decoder {
    /// The rows of a message.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(&mut self, message: &[u8]) -> Result<Vec<RecordBatch>, ArrowError> {
        let (mut left, mut batches) = (Buffer::from(message), Vec::new());
        while !left.is_empty() {
            batches.extend(self.0.decode(&mut left)?);
        }
        Ok(batches)
    }

    /// The columns, once a message came behind that which describes them.
    pub fn schema(&self) -> Option<SchemaRef> {
        self.0.schema()
    }

    /// # Errors
    /// When the last message did not come.
    pub fn end(&mut self) -> Result<(), ArrowError> {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, NullArray, StringViewArray};
    use datafusion::arrow::compute::concat_batches;
    use datafusion::arrow::datatypes::Field;

    use super::*;

    fn batch(rows: i64, text: usize) -> RecordBatch {
        let fields = [("n", DataType::Int64), ("t", DataType::Utf8View), ("none", DataType::Null)];
        let schema = Schema::new(fields.map(|(name, kind)| Field::new(name, kind, true)).to_vec());
        let texts: StringViewArray =
            (0..rows).map(|n| (n % 3 > 0).then(|| format!("{n} {}", "x".repeat(text)))).collect();
        let columns: [ArrayRef; 3] = [
            Arc::new(Int64Array::from_iter_values(0..rows)),
            Arc::new(texts),
            Arc::new(NullArray::new(usize::try_from(rows).unwrap())),
        ];
        RecordBatch::try_new(Arc::new(schema), columns.to_vec()).unwrap()
    }

    fn sent(batches: &[RecordBatch]) -> Vec<Vec<u8>> {
        let mut encoder = Encoder::new(&batches[0].schema()).unwrap();
        let mut messages = vec![encoder.columns()];
        for batch in batches {
            encoder.give(batch.clone());
            while let Some((message, _)) = encoder.rows().unwrap() {
                messages.push(message);
            }
        }
        messages.push(encoder.end().unwrap());
        messages
    }

    #[test]
    fn rows_arrive_as_they_were_in_messages_of_a_bounded_size() {
        let batches = [batch(5_000, 1_000), batch(0, 1), batch(3, 3 * MESSAGE)];
        let messages = sent(&batches);
        assert!(messages.len() > 6, "{}", messages.len());
        assert!(messages.iter().all(|message| message.len() < 4 * MESSAGE));
        let mut decoder = Decoder::default();
        let read: Vec<RecordBatch> = messages.iter().flat_map(|message| decoder.read(message).unwrap()).collect();
        decoder.end().unwrap();
        let schema = batches[0].schema();
        assert_eq!(decoder.schema().unwrap(), schema);
        assert_eq!(concat_batches(&schema, &read).unwrap(), concat_batches(&schema, &batches).unwrap());
    }

    /// A slice of views holds on to the buffers of all rows; a message has its own rows' bytes only.
    #[test]
    fn a_message_has_no_bytes_of_other_rows() {
        let one = batch(100, 100).slice(40, 1);
        let messages = sent(&[one]);
        let text = |n: usize| format!("{n} xxxx").into_bytes();
        let holds = |bytes: &[u8]| messages.iter().any(|m| m.windows(bytes.len()).any(|window| window == bytes));
        assert!(holds(&text(40)) && !holds(&text(41)) && !holds(&text(38)));
    }

    #[test]
    fn what_is_cut_off_or_no_message_is_an_error() {
        let messages = sent(&[batch(10, 10)]);
        let mut decoder = Decoder::default();
        messages[..2].iter().for_each(|message| drop(decoder.read(&message[..message.len() - 1])));
        assert!(decoder.end().is_err());
        // By its first bytes a message is longer: that none comes is known at the end.
        let mut decoder = Decoder::default();
        assert!(decoder.read(&[7; 64]).is_err() || decoder.end().is_err());
    }
}
