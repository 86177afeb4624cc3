//! How long to wait before the next attempt. Pure: the dice come in.

use std::time::Duration;

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(300);

/// Full jitter over a doubling bound, at least a second; `dice` is in `[0, 1)`.
pub(crate) fn wait(tried: u32, dice: f64) -> Duration {
    let bound = Duration::from_secs(2)
        .saturating_mul(1 << tried.min(8))
        .min(LONGEST);
    Duration::from_secs(1) + bound.mul_f64(dice.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_bounded() {
        assert_eq!(wait(1, 0.0), Duration::from_secs(1));
        assert!(wait(1, 0.9) < wait(4, 0.9));
        assert!(wait(60, 0.999) <= LONGEST + Duration::from_secs(1));
    }
}
