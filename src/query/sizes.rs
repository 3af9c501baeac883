//! How large values are.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::ColumnarValue;

/// Whether values of a type differ in size.
pub fn variable(kind: &DataType) -> bool {
    use DataType::{Binary, BinaryView, LargeBinary, LargeUtf8, Utf8, Utf8View};
    matches!(kind, Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView) || kind.is_nested()
}

/// Bytes of an array's values: views may share theirs, and count as if they did not.
pub fn bytes(array: &ArrayRef) -> usize {
    match array.data_type() {
        DataType::Utf8View => lengths(array).sum(),
        DataType::BinaryView => array.as_binary_view().iter().map(|value| value.map_or(0, <[u8]>::len)).sum(),
        _ => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()),
    }
}

/// Bytes of the longest value.
pub fn longest(value: &ColumnarValue) -> usize {
    match value {
        ColumnarValue::Scalar(scalar) => scalar.size(),
        ColumnarValue::Array(array) => match array.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => lengths(array).max().unwrap_or(0),
            _ => bytes(array) / array.len().max(1),
        },
    }
}

/// Bytes of each text.
fn lengths(array: &ArrayRef) -> Box<dyn Iterator<Item = usize> + '_> {
    let length = |text: Option<&str>| text.map_or(0, str::len);
    match array.data_type() {
        DataType::Utf8 => Box::new(array.as_string::<i32>().iter().map(length)),
        DataType::LargeUtf8 => Box::new(array.as_string::<i64>().iter().map(length)),
        DataType::Utf8View => Box::new(array.as_string_view().iter().map(length)),
        _ => Box::new(std::iter::empty()),
    }
}
