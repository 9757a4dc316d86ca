//! Durations and sizes as people write them.

use std::time::Duration;

/// `5`, `1.5s`, `200ms`, `2m`, `1h`.
///
/// # Errors
/// A line that says what is expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("expected a duration such as 200ms, 5s, 2m or 1h".into()),
    };
    let bad = || "expected a duration such as 200ms, 5s, 2m or 1h".to_owned();
    let seconds: f64 = number.parse().map_err(|_| bad())?;
    match Duration::try_from_secs_f64(seconds * scale) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(bad()),
    }
}

/// `1048576`, `512M`, `1.5GiB`; the units are powers of 1024.
///
/// # Errors
/// A line that says what is expected.
pub fn size(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected a size such as 512M or 2G";
    let (number, unit) = split(text);
    let unit = unit.to_ascii_lowercase();
    let shift = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(EXPECTED.into()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        let bytes = whole.checked_mul(1 << shift).ok_or("the size is too large")?;
        return if bytes == 0 { Err(EXPECTED.into()) } else { Ok(bytes) };
    }
    let number: f64 = number.parse().map_err(|_| EXPECTED.to_owned())?;
    let bytes = number * f64::from(1_u32 << 10).powi(shift / 10);
    if !(1.0..1e18).contains(&bytes) {
        return Err(EXPECTED.into());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked"
    )]
    let bytes = bytes as u64;
    Ok(bytes)
}

fn split(text: &str) -> (&str, &str) {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(at)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{duration, size};

    #[test]
    fn durations() {
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "s", "-1", "5 s", "0", "1d", "1e400h", "nan", "5ss"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("512M"), Ok(512 << 20));
        assert_eq!(size("512mb"), Ok(512 << 20));
        assert_eq!(size("1.5GiB"), Ok(3 << 29));
        assert_eq!(size("16T"), Ok(16 << 40));
        for bad in ["", "M", "0", "-5M", "5X", "99999999999T", "1..5G"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
