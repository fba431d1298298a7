//! Booleans and numbers as each rule set writes them.

use std::ops::RangeInclusive;
use std::str::FromStr;

use super::Rules;
use super::fault::Fault;

pub(super) fn boolean(text: &str, rules: Rules) -> Result<bool, Fault> {
    match rules {
        Rules::Strict => match text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            _ => Err(Fault::expected("true or false")),
        },
        Rules::Lenient => Ok(["y", "yes", "true", "t", "on", "1"]
            .iter()
            .any(|truthy| truthy.eq_ignore_ascii_case(text.trim()))),
    }
}

/// An integer of a type that holds exactly the numbers of `range`.
pub(super) fn integer<T: TryFrom<i128>>(
    text: &str,
    rules: Rules,
    range: &RangeInclusive<i128>,
) -> Result<T, Fault> {
    let (negative, digits) = match (text.strip_prefix('-'), text.strip_prefix('+')) {
        // Go's parser for unsigned numbers knows no sign at all.
        _ if *range.start() >= 0 => (false, text),
        (Some(digits), _) => (true, digits),
        (_, Some(digits)) => (false, digits),
        _ => (false, text),
    };
    let magnitude = match rules {
        Rules::Strict => natural(digits, 10),
        Rules::Lenient if text.is_empty() => Some(0),
        Rules::Lenient => literal(digits),
    };
    magnitude
        .map(|magnitude| if negative { -magnitude } else { magnitude })
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| {
            Fault::expected(format_args!(
                "an integer from {} to {}",
                range.start(),
                range.end()
            ))
        })
}

/// A finite number. Go's decoders would also take infinities, NaN and hexadecimal floats, which no setting means.
pub(super) fn float<T: FromStr + Into<f64> + Copy>(text: &str, rules: Rules) -> Result<T, Fault> {
    let text = match rules {
        Rules::Lenient if text.is_empty() => "0",
        _ => text,
    };
    text.parse::<T>()
        .ok()
        .filter(|number| (*number).into().is_finite())
        .ok_or_else(|| Fault::expected("a number such as 2 or 0.5"))
}

/// An integer literal as Go writes it: `0x`, `0o` and `0b` prefixes, a leading 0 for octal, `_` between digits.
fn literal(text: &str) -> Option<i128> {
    let prefixed = |lower, upper| {
        text.strip_prefix(lower)
            .or_else(|| text.strip_prefix(upper))
    };
    let (digits, radix) = if let Some(digits) = prefixed("0x", "0X") {
        (digits, 16)
    } else if let Some(digits) = prefixed("0o", "0O") {
        (digits, 8)
    } else if let Some(digits) = prefixed("0b", "0B") {
        (digits, 2)
    } else if let Some(digits) = text.strip_prefix('0').filter(|digits| !digits.is_empty()) {
        (digits, 8)
    } else {
        return grouped(text, 10);
    };
    // After a prefix, which counts as a digit, a separator may come first.
    grouped(digits.strip_prefix('_').unwrap_or(digits), radix)
}

/// Digits with single `_` between them.
fn grouped(text: &str, radix: u32) -> Option<i128> {
    if text.split('_').any(str::is_empty) {
        return None;
    }
    natural(&text.replace('_', ""), radix)
}

fn natural(digits: &str, radix: u32) -> Option<i128> {
    // The standard parser would take a sign here.
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    i128::from_str_radix(digits, radix).ok()
}
