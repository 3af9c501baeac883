//! What a commit says of a file: Delta's statistics, of columns that hold no content.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute;
use arrow::datatypes::{Decimal128Type, TimestampMicrosecondType};
use serde_json::{Value, json};

use super::table::TableKind;

/// Longer texts are left out: a minimum may be cut but a maximum may not, and commits stay small.
const MAX_TEXT: usize = 128;
/// Beyond it an amount in millionths is no exact number in JSON.
const MAX_MILLIONTHS: i128 = 1_000_000_000_000_000;

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
    /// US dollars, in billionths.
    Usd(i128),
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
            if let Some((min, max)) =
                range.bounds.as_ref().and_then(|(min, max)| Some((min.json(floor)?, max.json(ceil)?)))
            {
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
    if let Some(amounts) = array.as_primitive_opt::<Decimal128Type>() {
        return Some((Bound::Usd(compute::min(amounts)?), Bound::Usd(compute::max(amounts)?)));
    }
    let times = array.as_primitive_opt::<TimestampMicrosecondType>()?;
    Some((Bound::Micros(compute::min(times)?), Bound::Micros(compute::max(times)?)))
}

/// Billionths to millionths, not above.
fn floor(billionths: i128) -> i128 {
    billionths.div_euclid(1000)
}

/// Billionths to millionths, not below.
fn ceil(billionths: i128) -> i128 {
    -floor(-billionths)
}

impl Bound {
    /// `millionths` rounds amounts, which clients report in millionths, to the side where the bound still holds.
    fn json(&self, millionths: fn(i128) -> i128) -> Option<Value> {
        match self {
            Bound::Text(text) => (text.len() <= MAX_TEXT).then(|| json!(text)),
            Bound::Micros(micros) => {
                let time = chrono::DateTime::from_timestamp_micros(*micros)?;
                Some(json!(time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()))
            }
            Bound::Usd(billionths) => {
                let amount = millionths(*billionths);
                (amount.abs() <= MAX_MILLIONTHS).then(|| json!(amount as f64 / 1e6))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Decimal128Array;
    use proptest::prelude::*;

    use super::*;

    fn of_costs(billionths: &[Option<i128>]) -> Value {
        let costs = Decimal128Array::from(billionths.to_vec()).with_precision_and_scale(38, 9).unwrap();
        let mut stats = FileStats::new(TableKind::Sessions);
        stats.add(&RecordBatch::try_from_iter([("cost_usd", Arc::new(costs) as ArrayRef)]).unwrap());
        serde_json::from_str(&stats.json()).unwrap()
    }

    #[test]
    fn amounts_are_numbers_and_too_large_ones_have_no_bounds() {
        let stats = of_costs(&[Some(1_724_331_000), None, Some(2500), Some(0)]);
        assert_eq!(stats["minValues"]["cost_usd"], 0.0);
        assert_eq!(stats["maxValues"]["cost_usd"], 1.724331);
        assert_eq!(stats["nullCount"]["cost_usd"], 1);
        let stats = of_costs(&[Some(1), Some(999_999_999_999_999_999_999)]);
        assert_eq!((&stats["minValues"], &stats["maxValues"]), (&json!({}), &json!({})));
    }

    proptest! {
        /// Readers leave a file out by its bounds: an amount outside them would be lost.
        #[test]
        fn no_amount_is_outside_its_bounds(billionths in -999_999_999_999_999_999_i128..=999_999_999_999_999_999) {
            let stats = of_costs(&[Some(billionths)]);
            let exact = |bound: &Value| (bound.as_f64().unwrap() * 1e6).round() as i128 * 1000;
            prop_assert!(exact(&stats["minValues"]["cost_usd"]) <= billionths);
            prop_assert!(billionths <= exact(&stats["maxValues"]["cost_usd"]));
        }
    }
}
