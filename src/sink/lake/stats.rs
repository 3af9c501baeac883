//! What a commit says of a file: Delta's statistics, of columns that hold no content.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute;
use arrow::datatypes::TimestampMicrosecondType;
use serde_json::{Value, json};

use super::table::TableKind;

/// Longer texts are left out: a minimum may be cut but a maximum may not, and commits stay small.
const MAX_TEXT: usize = 128;

/// Gathers the statistics of a file, row group by row group.
pub(super) struct FileStats {
    kind: TableKind,
    rows: usize,
    columns: BTreeMap<&'static str, Range>,
}

#[derive(Default)]
struct Range {
    nulls: usize,
    /// Minimum and maximum; `None` when there is no value yet.
    bounds: Option<(Bound, Bound)>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Bound {
    Text(String),
    Micros(i64),
}

impl FileStats {
    pub fn new(kind: TableKind) -> FileStats {
        FileStats { kind, rows: 0, columns: BTreeMap::new() }
    }

    pub fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows();
        for column in self.kind.columns().filter(|column| column.is_logged()) {
            if let Some(array) = batch.column_by_name(column.name) {
                self.columns.entry(column.name).or_default().add(array);
            }
        }
    }

    /// As in PROTOCOL.md, "Per-file Statistics".
    pub fn json(&self) -> String {
        let (mut low, mut high, mut nulls) = (json!({}), json!({}), json!({}));
        for (name, range) in &self.columns {
            nulls[*name] = json!(range.nulls);
            if let Some((min, max)) = range.bounds.as_ref().and_then(|(min, max)| Some((min.json()?, max.json()?))) {
                low[*name] = min;
                high[*name] = max;
            }
        }
        json!({"numRecords": self.rows, "minValues": low, "maxValues": high, "nullCount": nulls}).to_string()
    }
}

impl Range {
    fn add(&mut self, array: &ArrayRef) {
        self.nulls += array.null_count();
        let Some((min, max)) = bounds(array) else { return };
        self.bounds = Some(match self.bounds.take() {
            Some((low, high)) => (low.min(min), high.max(max)),
            None => (min, max),
        });
    }
}

fn bounds(array: &ArrayRef) -> Option<(Bound, Bound)> {
    if let Some(texts) = array.as_string_opt::<i32>() {
        let bound = |text: &str| Bound::Text(text.to_owned());
        return Some((bound(compute::min_string(texts)?), bound(compute::max_string(texts)?)));
    }
    let times = array.as_primitive_opt::<TimestampMicrosecondType>()?;
    Some((Bound::Micros(compute::min(times)?), Bound::Micros(compute::max(times)?)))
}

impl Bound {
    fn json(&self) -> Option<Value> {
        match self {
            Bound::Text(text) => (text.len() <= MAX_TEXT).then(|| json!(text)),
            Bound::Micros(micros) => {
                let time = chrono::DateTime::from_timestamp_micros(*micros)?;
                Some(json!(time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()))
            }
        }
    }
}
