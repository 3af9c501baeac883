//! Sessions that were erased, or are private: their rows go some time after their tombstone came, and are not shown from then
//! on.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, BooleanArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::Session;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::prelude::col;

use super::tables::SESSION_ID;
use crate::model::Workspace;
use crate::sink::lake::tombstones::Tombstones;

/// A scan's rows but those of buried sessions. The scan has the column `session_id`.
pub fn left_out(
    state: &dyn Session,
    scan: Arc<dyn ExecutionPlan>,
    tombstones: &Tombstones,
    workspace: &Workspace,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = DFSchema::try_from(scan.schema().as_ref().clone())?;
    let kept = kept(tombstones.clone(), workspace.clone()).call(vec![col(SESSION_ID)]);
    Ok(Arc::new(FilterExec::try_new(state.create_physical_expr(kept, &schema)?, scan)?))
}

/// Stable, not immutable: tombstones come.
fn kept(tombstones: Tombstones, workspace: Workspace) -> ScalarUDF {
    let kept = move |arguments: &[ColumnarValue]| {
        let ids = ColumnarValue::values_to_arrays(arguments)?;
        let id_kept = |id: Option<&str>| Some(id.is_none_or(|id| !tombstones.contains(&workspace, id)));
        let kept: BooleanArray = ids[0].as_string_view().iter().map(id_kept).collect();
        Ok(ColumnarValue::Array(Arc::new(kept)))
    };
    create_udf("is_kept", vec![DataType::Utf8View], DataType::Boolean, Volatility::Stable, Arc::new(kept))
}
