//! What may become of texts and lists in one step. An expression makes much of little, for a batch of rows at a time and past
//! every measure of memory: 'a' || 'a' thirty times over, `replace` with a long text for every letter, `concat` of a column
//! with itself. Functions look at what they are given, or at what they made, before the next one goes on.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{not_impl_err, resources_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::{ScalarFunction, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;
use datafusion::scalar::ScalarValue;

use super::guarded::Guarded;
use super::stand_ins::{Joined, Narrow};

/// A longer text of a statement is shared by the rows that it stands in; shorter ones are copied.
const SHARED: usize = 256;

/// Bytes of all constants that are copied to every row of a batch: 256 MiB of 8,192 rows.
const CONSTANTS: usize = 32 << 10;

/// Columns between two steps, as many as PostgreSQL has: each is made for a whole batch of rows.
const COLUMNS: usize = 1_664;
/// Values of a call, or of an array, that are computed, all at the same time.
const VALUES: usize = 1_000;

/// Each row of a window has the whole of it.
const NOT_OVER: [&str; 2] = ["string_agg", "array_agg"];
/// Each row of a window may have the same value, copied.
const COPIED: [&str; 5] = ["min", "max", "first_value", "last_value", "nth_value"];

/// Guards every function, `||` and window.
#[derive(Debug)]
pub struct Growth {
    /// Bytes that a function may make of a batch of rows.
    pub most: usize,
}

impl AnalyzerRule for Growth {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        renamed(plan, |expr| self.guard(expr))
    }

    fn name(&self) -> &str {
        "growth"
    }
}

impl Growth {
    fn guard(&self, expr: Expr) -> Result<Transformed<Expr>> {
        if pattern(&expr).is_some_and(|pattern| !is_constant(pattern)) {
            return not_impl_err!("a regular expression is a constant here: it may not differ from row to row");
        }
        Ok(Transformed::yes(match expr {
            Expr::ScalarFunction(ScalarFunction { func, args }) => {
                if args.iter().filter(|value| !matches!(value, Expr::Literal(..))).count() > VALUES {
                    return resources_err!("more than {VALUES} values are computed at a time");
                }
                let func = Guarded::function(func, self.most);
                Expr::ScalarFunction(ScalarFunction { func, args })
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
                let func = Arc::new(ScalarUDF::new_from_impl(Joined::new()));
                let func = Guarded::function(func, self.most);
                Expr::ScalarFunction(ScalarFunction { func, args: vec![*left, *right] })
            }
            Expr::WindowFunction(window) => Expr::WindowFunction(self.window(window)?),
            other => return Ok(Transformed::no(other)),
        }))
    }

    fn window(&self, mut window: Box<WindowFunction>) -> Result<Box<WindowFunction>> {
        let name = window.fun.name().to_owned();
        if NOT_OVER.contains(&name.as_str()) {
            return not_impl_err!("{name} is not offered over a window: each row would have all the others'");
        }
        if COPIED.contains(&name.as_str()) {
            let narrow = Arc::new(ScalarUDF::new_from_impl(Narrow::new(self.most)));
            let narrowed =
                |value| Expr::ScalarFunction(ScalarFunction { func: Arc::clone(&narrow), args: vec![value] });
            let mut args = std::mem::take(&mut window.params.args).into_iter();
            window.params.args = args.next().map(narrowed).into_iter().chain(args).collect();
        }
        Ok(window)
    }
}

/// The regular expression in an expression. Each is compiled, to 10 MiB at most.
fn pattern(expr: &Expr) -> Option<&Expr> {
    use Operator::{RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch};
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            op: RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch, right, ..
        }) => Some(right),
        Expr::SimilarTo(like) => Some(&like.pattern),
        Expr::ScalarFunction(call) if call.name().starts_with("regexp_") => call.args.get(1),
        _ => None,
    }
}

/// Whether it is the same for all rows, as far as the statement's text tells.
fn is_constant(expr: &Expr) -> bool {
    let of_a_row =
        |expr: &Expr| Ok(matches!(expr, Expr::Column(_) | Expr::OuterReferenceColumn(..) | Expr::ScalarSubquery(_)));
    !expr.is_volatile() && !expr.exists(of_a_row).unwrap_or(true)
}

/// A statement's long texts as views, of which rows share one copy.
///
/// # Errors
/// When the plan cannot be made anew: a fault of our own.
pub fn shared(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !any_literal(&plan, &mut |value| is_copied(value, SHARED))? {
        return Ok(plan);
    }
    renamed(plan, |expr| {
        Ok(match expr {
            Expr::Literal(ScalarValue::Utf8(Some(text)), metadata) if text.len() > SHARED => {
                Transformed::yes(Expr::Literal(ScalarValue::Utf8View(Some(text)), metadata))
            }
            other => Transformed::no(other),
        })
    })
}

/// Looks at a plan that is about to run: its columns, and its constants, those that were computed among them.
///
/// # Errors
/// When there are too many, or they are too large to be copied to many rows.
pub fn within_bounds(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| match node.schema().fields().len() > COLUMNS {
        true => resources_err!("a step of the statement has more than {COLUMNS} columns"),
        false => Ok(TreeNodeRecursion::Continue),
    })?;
    let mut bytes = 0;
    any_literal(plan, &mut |value| {
        bytes += if is_copied(value, 0) { value.size() } else { 0 };
        false
    })?;
    match bytes > CONSTANTS {
        true => resources_err!("the statement's constants are larger than {CONSTANTS} bytes: make them shorter"),
        false => Ok(()),
    }
}

/// Numbers and views are small in each row.
fn is_copied(value: &ScalarValue, longer: usize) -> bool {
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => text.len() > longer,
        ScalarValue::Binary(Some(bytes)) | ScalarValue::LargeBinary(Some(bytes)) => bytes.len() > longer,
        other => other.data_type().is_nested() && longer == 0,
    }
}

/// Whether some constant of the plan, but those that values are compared with, is as `wanted`.
fn any_literal(plan: &LogicalPlan, wanted: &mut impl FnMut(&ScalarValue) -> bool) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| match expr {
                Expr::InList(_) => Ok(TreeNodeRecursion::Jump),
                Expr::Literal(value, _) => {
                    found |= wanted(value);
                    Ok(TreeNodeRecursion::Continue)
                }
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })?;
    Ok(found)
}

/// The plan with its expressions changed and their names kept.
fn renamed(plan: LogicalPlan, change: impl Fn(Expr) -> Result<Transformed<Expr>>) -> Result<LogicalPlan> {
    let changed = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(&change)?.update_data(|expr| name.restore(expr)))
        })?;
        // What is below may have other types now.
        Ok::<_, DataFusionError>(Transformed::yes(node.data.recompute_schema()?))
    });
    changed.data()
}
