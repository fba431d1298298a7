//! A member of a JSON value, as far as it can be compared.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is at a path of a JSON value. Two of different kinds are in the order of their kinds here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Member {
    Missing,
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    /// An array or an object, as JSON.
    Other(String),
}

/// A number, compared by what it is worth.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Number {
    Integer(i64),
    /// Its bits: as decimal digits in a page token it might come back as its neighbour.
    Real(u64),
}

impl Member {
    /// The member at a path of names with dots between them.
    pub(super) fn at(path: &str, document: &Value) -> Self {
        let member = path
            .split('.')
            .try_fold(document, |value, name| value.as_object()?.get(name));
        member.map_or(Self::Missing, Self::of)
    }

    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(Number::of(number)),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(_) | Value::Object(_) => Self::Other(value.to_string()),
        }
    }

    /// How it compares to another of its kind; `None` if that is of another kind.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        let alike = std::mem::discriminant(self) == std::mem::discriminant(other);
        alike.then(|| self.cmp(other))
    }
}

impl Number {
    fn of(number: &serde_json::Number) -> Self {
        match number.as_i64() {
            Some(integer) => Self::Integer(integer),
            // To add zero makes the negative zero a positive one.
            None => Self::Real((number.as_f64().unwrap_or(f64::NAN) + 0.0).to_bits()),
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (*self, *other) {
            (Self::Integer(one), Self::Integer(other)) => one.cmp(&other),
            (Self::Real(one), Self::Real(other)) => {
                f64::from_bits(one).total_cmp(&f64::from_bits(other))
            }
            (Self::Integer(one), Self::Real(other)) => compare(one, f64::from_bits(other)),
            (Self::Real(one), Self::Integer(other)) => {
                compare(other, f64::from_bits(one)).reverse()
            }
        }
    }
}

/// Compares without rounding: neighbours beyond 2^53 would else be equal to one real number and not to each other.
fn compare(integer: i64, real: f64) -> Ordering {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if real >= LIMIT {
        Ordering::Less
    } else if real < -LIMIT {
        Ordering::Greater
    } else {
        let fraction = real.trunc().total_cmp(&real);
        integer.cmp(&(real.trunc() as i64)).then(fraction)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn numbers() -> impl Strategy<Value = Value> {
        let near_the_limits = prop_oneof![
            Just(json!(i64::MAX)),
            Just(json!(i64::MAX - 1)),
            Just(json!(i64::MIN)),
            Just(json!(u64::MAX)),
            Just(json!(9_223_372_036_854_775_808.0)),
            Just(json!(-9_223_372_036_854_775_808.0)),
            Just(json!((1_i64 << 53) + 1)),
            Just(json!(9_007_199_254_740_992.0)),
            Just(json!(-0.0)),
            Just(json!(0)),
            Just(json!(-0.5)),
        ];
        prop_oneof![
            near_the_limits,
            any::<i64>().prop_map(|number| json!(number)),
            (-3..3_i64).prop_map(|number| json!(number)),
            (-6..6_i32).prop_map(|number| json!(f64::from(number) / 2.0)),
            any::<f64>()
                .prop_filter("JSON has finite numbers", |number| number.is_finite())
                .prop_map(|number| json!(number)),
        ]
    }

    proptest! {
        #[test]
        fn numbers_have_one_order(mut values in proptest::collection::vec(numbers(), 3)) {
            let mut members: Vec<Member> = values.drain(..).map(|value| Member::of(&value)).collect();
            members.sort();
            for (lower, rest) in members.iter().zip(1..) {
                for higher in &members[rest..] {
                    prop_assert!(lower <= higher);
                    prop_assert!(higher >= lower);
                    prop_assert_eq!(lower == higher, higher == lower);
                }
            }
        }

        #[test]
        fn a_token_keeps_a_number(value in numbers()) {
            let member = Member::of(&value);
            let token = serde_json::to_string(&member).unwrap();
            prop_assert_eq!(serde_json::from_str::<Member>(&token).unwrap(), member);
        }
    }

    #[test]
    fn an_integer_is_compared_with_a_real_without_rounding() {
        let number = |value: Value| Member::of(&value);
        assert!(number(json!((1_i64 << 53) + 1)) > number(json!(9_007_199_254_740_992.0)));
        assert!(number(json!(i64::MAX)) < number(json!(9_223_372_036_854_775_808.0)));
        assert!(number(json!(-1)) < number(json!(-0.5)));
        assert!(number(json!(1)) > number(json!(0.5)));
        assert_eq!(number(json!(2)), number(json!(2.0)));
        assert_eq!(number(json!(-0.0)), number(json!(0)));
    }
}
