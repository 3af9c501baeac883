//! Windows that keep what they read. DataFusion does not count it: one over a series without end would take all the memory
//! that there is.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, replace_children_if_necessary,
};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;

use super::sizes::bytes;

/// A window that has to see everything keeps it, joins it into one batch, and makes its columns of that.
const WHOLE: usize = 3;
/// A window that looks that many rows ahead or back keeps little.
const NEAR: u64 = 1_000;

/// Counts what windows keep against the session's memory.
#[derive(Debug)]
pub struct Windows;

impl PhysicalOptimizerRule for Windows {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let counted = plan.transform_up(|node| {
            let times = kept(node.as_ref());
            if times == 0 {
                return Ok(Transformed::no(node));
            }
            let children = node.children().into_iter().map(|input| Counted::of(input, times)).collect();
            Ok(Transformed::yes(replace_children_if_necessary(node, children)?))
        });
        counted.data()
    }

    fn name(&self) -> &str {
        "windows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// How often a window has what it reads.
fn kept(node: &dyn ExecutionPlan) -> usize {
    let node = node as &dyn Any;
    if node.is::<WindowAggExec>() {
        return WHOLE;
    }
    let far = |window: &BoundedWindowAggExec| window.window_expr().iter().any(|expr| is_far(expr.get_window_frame()));
    usize::from(node.downcast_ref().is_some_and(far))
}

/// Whether a frame reaches over rows whose number is large, or unknown.
fn is_far(frame: &WindowFrame) -> bool {
    let far = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::CurrentRow => false,
        // Without an end at that side: a running total, of which nothing is kept.
        WindowFrameBound::Preceding(rows) if rows.is_null() => false,
        WindowFrameBound::Preceding(rows) | WindowFrameBound::Following(rows) => {
            !matches!((frame.units, rows), (WindowFrameUnits::Rows, ScalarValue::UInt64(Some(..=NEAR))))
        }
    };
    far(&frame.start_bound) || far(&frame.end_bound)
}

/// What passes through it counts until the stream ends.
#[derive(Debug)]
struct Counted {
    input: Arc<dyn ExecutionPlan>,
    times: usize,
}

impl Counted {
    fn of(input: &Arc<dyn ExecutionPlan>, times: usize) -> Arc<dyn ExecutionPlan> {
        Arc::new(Counted { input: Arc::clone(input), times })
    }
}

impl DisplayAs for Counted {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for Counted {
    fn name(&self) -> &str {
        "CountedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let times = self.times;
        Ok(children.pop().map_or(self, |input| Arc::new(Counted { input, times })))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let reservation = MemoryConsumer::new("a window").register(context.memory_pool());
        let times = self.times;
        let counted = self.input.execute(partition, context)?.map(move |batch| {
            let batch = batch?;
            reservation.try_grow(times * batch.columns().iter().map(bytes).sum::<usize>())?;
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), counted)))
    }
}
