//! What a host draws at a load.

/// Watts at 0, 10, … 100 % of a host's CPU, as SPECpower_ssj2008 reports them; between two of them
/// in a straight line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerCurve(pub [f64; 11]);

impl PowerCurve {
    /// HP ProLiant ML110 G4, Xeon 3040 (SPECpower_ssj2008, as CloudSim's models hold it).
    pub const ML110_G4: Self = Self([
        86.0, 89.4, 92.6, 96.0, 99.5, 102.0, 106.0, 108.0, 112.0, 114.0, 117.0,
    ]);
    /// HP ProLiant ML110 G5, Xeon 3075 (likewise).
    pub const ML110_G5: Self = Self([
        93.7, 97.0, 101.0, 105.0, 110.0, 116.0, 121.0, 125.0, 129.0, 133.0, 135.0,
    ]);

    /// From idle to full load in a straight line.
    #[must_use]
    pub fn straight(idle: f64, full: f64) -> Self {
        Self(
            [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
                .map(|l| idle + (full - idle) * l),
        )
    }

    /// Watts at a load from 0 to 1; what lies outside counts as the nearer end.
    #[must_use]
    pub fn watts(&self, load: f64) -> f64 {
        let tenths = load.clamp(0.0, 1.0) * 10.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 9"
        )]
        let below = tenths.floor().min(9.0) as usize;
        let (low, high) = (self.0[below], self.0[below + 1]);
        low + (high - low) * (tenths - tenths.floor().min(9.0))
    }

    /// Watts when idle.
    #[must_use]
    pub fn idle(&self) -> f64 {
        self.0[0]
    }

    /// Watts at full load.
    #[must_use]
    pub fn full(&self) -> f64 {
        self.0[10]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_points_the_curve_is_straight() {
        let g5 = PowerCurve::ML110_G5;
        assert!((g5.watts(0.0) - 93.7).abs() < 1e-9);
        assert!((g5.watts(0.25) - 103.0).abs() < 1e-9);
        assert!((g5.watts(1.0) - 135.0).abs() < 1e-9);
        assert!((g5.watts(1.7) - g5.full()).abs() < 1e-9);
        assert!((g5.watts(-1.0) - g5.idle()).abs() < 1e-9);
        let straight = PowerCurve::straight(100.0, 300.0);
        assert!((straight.watts(0.25) - 150.0).abs() < 1e-9);
        assert!((straight.full() - 300.0).abs() < 1e-9);
    }
}
