//! Functions that look at the size of what they are given, and of what they made.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::Array;
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::resources_err;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::sizes::{bytes, longest, variable};

/// Their result is as large as all that they are given together.
const SUMS: [&str; 11] = [
    "joined",
    "concat",
    "concat_ws",
    "overlay",
    "make_array",
    "array_concat",
    "array_append",
    "array_prepend",
    "struct",
    "named_struct",
    "map",
];
/// Each letter or part of the first may become the whole of another.
const PRODUCTS: [&str; 7] =
    ["replace", "regexp_replace", "array_to_string", "list_to_string", "array_join", "list_join", "translate"];
/// Each sign of a pattern may become a word.
const FORMATS: [&str; 3] = ["to_char", "date_format", "format"];
const WORD: usize = 32;

/// A function that makes `most` bytes of a batch of rows and no more.
#[derive(Debug)]
pub struct Guarded {
    inner: Arc<ScalarUDF>,
    most: usize,
}

impl Guarded {
    /// The function `inner`, guarded.
    pub fn function(inner: Arc<ScalarUDF>, most: usize) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(Guarded { inner, most }))
    }

    /// Bytes that the result may have at most; 0 where it is about as large as what is given.
    fn expected(&self, args: &ScalarFunctionArgs, rows: usize) -> usize {
        let bytes = |value: &ColumnarValue| match value {
            ColumnarValue::Array(array) => bytes(array),
            ColumnarValue::Scalar(scalar) => scalar.size().saturating_mul(rows),
        };
        let name = self.inner.name();
        let sum = || args.args.iter().map(bytes).fold(0, usize::saturating_add);
        if SUMS.contains(&name) {
            // A separator stands between all of them.
            let times = if name == "concat_ws" { args.args.len() } else { 1 };
            return sum().saturating_mul(times);
        }
        if FORMATS.contains(&name) {
            return sum().saturating_mul(WORD);
        }
        match args.args.split_first().filter(|_| PRODUCTS.contains(&name)) {
            Some((first, others)) => {
                let longest = others.iter().map(longest).max().unwrap_or(0);
                (bytes(first) + rows).saturating_mul(1 + longest)
            }
            None => 0,
        }
    }

    /// In parts of the batch that cannot grow too far each.
    fn in_parts(&self, args: &ScalarFunctionArgs, fit: usize) -> Result<ColumnarValue> {
        let (mut parts, mut made, mut from) = (Vec::new(), 0, 0);
        while from < args.number_rows {
            let rows = fit.min(args.number_rows - from);
            let cut = |value: &ColumnarValue| match value {
                ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, rows)),
                scalar => scalar.clone(),
            };
            let part =
                ScalarFunctionArgs { args: args.args.iter().map(cut).collect(), number_rows: rows, ..args.clone() };
            if self.expected(&part, rows) > 4 * self.most && rows == 1 {
                return self.too_large();
            }
            let part = self.inner.invoke_with_args(part)?.into_array(rows)?;
            made += bytes(&part);
            if made > self.most {
                return self.too_large();
            }
            parts.push(part);
            from += rows;
        }
        let parts: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
        Ok(ColumnarValue::Array(concat(&parts)?))
    }

    fn too_large<T>(&self) -> Result<T> {
        let (name, most) = (self.inner.name(), self.most >> 20);
        resources_err!("{name} would make more than {most} MiB of one batch of rows: take fewer rows, or shorter texts")
    }
}

impl ScalarUDFImpl for Guarded {
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows.max(1) };
        let expected = self.expected(&args, rows);
        if expected > self.most {
            return match constant || SUMS.contains(&self.inner.name()) {
                true => self.too_large(),
                false => self.in_parts(&args, (rows.saturating_mul(self.most) / expected).max(1)),
            };
        }
        let made = self.inner.invoke_with_args(args)?;
        let size = match &made {
            ColumnarValue::Array(array) if variable(array.data_type()) => bytes(array),
            ColumnarValue::Scalar(scalar) if variable(&scalar.data_type()) => scalar.size(),
            _ => 0,
        };
        if size > self.most { self.too_large() } else { Ok(made) }
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn is_strict(&self) -> bool {
        self.inner.inner().is_strict()
    }

    fn with_updated_config(&self, config: &datafusion::common::config::ConfigOptions) -> Option<ScalarUDF> {
        let updated = self.inner.inner().with_updated_config(config)?;
        Some(ScalarUDF::new_from_impl(Guarded { inner: Arc::new(updated), most: self.most }))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match self.inner.simplify(args, info)? {
            // It may be another function now.
            ExprSimplifyResult::Simplified(expr) => ExprSimplifyResult::Simplified(guarded(expr, self.most)?),
            original => original,
        })
    }

    fn preimage(&self, args: &[Expr], literal: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        self.inner.inner().preimage(args, literal, info)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.inner().conditional_arguments(args)
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        self.inner.evaluate_bounds(inputs)
    }

    fn propagate_constraints(&self, interval: &Interval, inputs: &[&Interval]) -> Result<Option<Vec<Interval>>> {
        self.inner.propagate_constraints(interval, inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.preserves_lex_ordering(inputs)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }
}

impl PartialEq for Guarded {
    fn eq(&self, other: &Guarded) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Guarded {}

impl Hash for Guarded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

/// The expression with each of its functions guarded.
fn guarded(expr: Expr, most: usize) -> Result<Expr> {
    let guard = |expr| match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) if !is_guarded(&func) => {
            let func = Guarded::function(func, most);
            Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args })))
        }
        other => Ok(Transformed::no(other)),
    };
    expr.transform_up(guard).data()
}

/// Whether a function looks at sizes already.
pub fn is_guarded(func: &ScalarUDF) -> bool {
    (func.inner().as_ref() as &dyn Any).is::<Guarded>()
}
