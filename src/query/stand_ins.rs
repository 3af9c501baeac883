//! Functions that stand for what is no function: `||`, and a value that a window repeats.

use datafusion::arrow::array::Array;
use datafusion::arrow::compute::{is_null, nullif, or};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::resources_err;
use datafusion::error::Result;
use datafusion::functions::string::concat as joining;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use super::sizes::{longest, variable};

/// `||`: like `concat`, but nothing with NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Joined(joining::ConcatFunc);

impl Joined {
    pub fn new() -> Joined {
        Joined(joining::ConcatFunc::new())
    }
}

impl ScalarUDFImpl for Joined {
    fn name(&self) -> &str {
        "joined"
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.0.return_type(types)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.0.coerce_types(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let missing = |value: &ColumnarValue| matches!(value, ColumnarValue::Scalar(scalar) if scalar.is_null());
        if args.args.iter().any(missing) {
            let nothing = ScalarValue::try_from(args.return_field.data_type())?;
            return Ok(ColumnarValue::Scalar(nothing));
        }
        let mut nulls = None;
        for value in &args.args {
            if let ColumnarValue::Array(array) = value
                && array.null_count() > 0
            {
                let own = is_null(array)?;
                nulls = Some(match nulls {
                    Some(others) => or(&others, &own)?,
                    None => own,
                });
            }
        }
        Ok(match (self.0.invoke_with_args(args)?, nulls) {
            (ColumnarValue::Array(array), Some(nulls)) => ColumnarValue::Array(nullif(&array, &nulls)?),
            (made, _) => made,
        })
    }
}

/// A value that is not so long that a copy for every row of a batch were too much.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Narrow {
    signature: Signature,
    most: usize,
}

/// Rows of a batch (DataFusion's default).
const ROWS: usize = 8192;

impl Narrow {
    pub fn new(most: usize) -> Narrow {
        Narrow { signature: Signature::any(1, Volatility::Immutable), most: most / ROWS }
    }
}

impl ScalarUDFImpl for Narrow {
    fn name(&self) -> &str {
        "narrow"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let value = args.args.swap_remove(0);
        let long = match &value {
            ColumnarValue::Array(array) => variable(array.data_type()) && longest(&value) > self.most,
            ColumnarValue::Scalar(scalar) => variable(&scalar.data_type()) && scalar.size() > 2 * self.most,
        };
        match long {
            true => resources_err!(
                "a window repeats a value of more than {} bytes: use left(..., {})",
                self.most,
                self.most / 4
            ),
            false => Ok(value),
        }
    }
}
