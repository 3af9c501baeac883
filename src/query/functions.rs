//! Functions that PostgreSQL has and DataFusion lacks, and functions that are not offered.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;

use super::settings;

/// They make much of little in one step, past every measure of memory; the last one takes as many steps as the product of
/// its texts' lengths.
const NOT_OFFERED: [&str; 8] =
    ["repeat", "lpad", "rpad", "array_repeat", "array_resize", "range", "generate_series", "levenshtein"];

/// Gives the session its functions.
pub fn install(context: &SessionContext) {
    NOT_OFFERED.iter().for_each(|name| context.deregister_udf(name));
    let has = |name: &str| context.udf(name).is_ok();
    let version = fixed("version", settings::version());
    context.register_udf(version);
    if !has("current_setting") {
        context.register_udf(create_udf(
            "current_setting",
            vec![DataType::Utf8],
            DataType::Utf8,
            Volatility::Stable,
            Arc::new(current_setting),
        ));
    }
}

fn fixed(name: &str, value: String) -> ScalarUDF {
    let answer = move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::from(value.as_str())));
    create_udf(name, vec![], DataType::Utf8, Volatility::Stable, Arc::new(answer))
}

fn current_setting(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let [ColumnarValue::Scalar(name)] = arguments else {
        return exec_err!("current_setting needs the name of a setting");
    };
    let name = name.try_as_str().flatten().unwrap_or_default();
    match settings::default_of(name) {
        Some(value) => Ok(ColumnarValue::Scalar(ScalarValue::from(value.as_str()))),
        None => exec_err!("unrecognized configuration parameter \"{}\"", name.escape_debug()),
    }
}
