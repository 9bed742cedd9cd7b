//! Sizes as operators write them: `1024`, `64Mi`, `1.5G`.
//!
//! As in the released server the suffix's first letter decides and is always a power of 1024: `1G` is `1Gi`.

/// Text that is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a size; write a number of bytes or one with k, m, g, t or p, as in 512M or 1.5Gi"
)]
pub struct SizeError(pub String);

/// Arenas are whole pages.
const PAGE_BYTES: u64 = 4096;

/// Bytes meant by `text`, rounded up to whole pages. `None` for the empty text and for zero, which the released
/// server takes as "choose for me".
pub fn parse(text: &str) -> Result<Option<u64>, SizeError> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(None);
    }
    let wrong = || SizeError(text.to_owned());
    let split = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (number, suffix) = trimmed.split_at(split);
    let unit = unit_bytes(suffix.trim()).ok_or_else(wrong)?;
    let bytes = match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(unit).ok_or_else(wrong)?,
        Err(_) => fraction_bytes(number, unit).ok_or_else(wrong)?,
    };
    if bytes == 0 {
        return Ok(None);
    }
    bytes
        .checked_next_multiple_of(PAGE_BYTES)
        .map(Some)
        .ok_or_else(wrong)
}

/// `text` in bytes with the largest binary unit that keeps it short: `1.5 GiB`.
pub fn show(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value.fract() >= 0.05);
    format!("{value:.digits$} {}", UNITS[unit])
}

fn unit_bytes(suffix: &str) -> Option<u64> {
    let power = match suffix.chars().next().map(|c| c.to_ascii_lowercase()) {
        None | Some('b') => 0,
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some('p') => 5,
        Some('e') => 6,
        Some(_) => return None,
    };
    let rest = suffix.get(1..).unwrap_or("").to_ascii_lowercase();
    matches!(rest.as_str(), "" | "i" | "b" | "ib").then(|| 1 << (10 * power))
}

fn fraction_bytes(number: &str, unit: u64) -> Option<u64> {
    let value = number.parse::<f64>().ok()? * unit as f64;
    (value.is_finite() && value >= 0.0 && value < u64::MAX as f64).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_is_always_a_power_of_1024() {
        for (text, bytes) in [
            ("4096", 4096),
            ("1k", 4096),
            ("64M", 64 << 20),
            ("64Mi", 64 << 20),
            ("64MB", 64 << 20),
            ("1G", 1 << 30),
            ("1Gi", 1 << 30),
            ("1gib", 1 << 30),
            ("2T", 2 << 40),
            ("1.5G", 3 << 29),
            (" 1 g ", 1 << 30),
        ] {
            assert_eq!(parse(text), Ok(Some(bytes)), "{text}");
        }
    }

    #[test]
    fn sizes_are_whole_pages() {
        assert_eq!(parse("5000"), Ok(Some(8192)));
        assert_eq!(parse("1"), Ok(Some(4096)));
    }

    #[test]
    fn nothing_and_zero_leave_the_choice_to_the_node() {
        assert_eq!(parse(""), Ok(None));
        assert_eq!(parse("0"), Ok(None));
        assert_eq!(parse("0G"), Ok(None));
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in [
            "G",
            "1X",
            "1Gx",
            "-1",
            "1..5G",
            "ten",
            "999999999999P",
            "1 000",
        ] {
            assert_eq!(parse(text), Err(SizeError(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn shown_sizes_are_short() {
        assert_eq!(show(0), "0 B");
        assert_eq!(show(1023), "1023 B");
        assert_eq!(show(64 << 20), "64 MiB");
        assert_eq!(show(3 << 29), "1.5 GiB");
    }
}
