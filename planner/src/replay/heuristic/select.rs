//! Which guest leaves an overloaded host.

use vmpack_sim::fleet::Fleet;

use super::detect::PAST;

/// Which guest leaves first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// The one whose migration takes the shortest time: with the least memory.
    MinimumMigrationTime,
    /// The one whose past is best explained by the others' (the largest coefficient of determination
    /// of a linear regression on them).
    MaximumCorrelation,
}

impl Select {
    /// The next to leave among those on a host, in the order in which they came.
    pub(super) fn guest(self, fleet: &Fleet, guests: &[usize]) -> Option<usize> {
        let correlated = match self {
            Self::MinimumMigrationTime => None,
            Self::MaximumCorrelation => most_correlated(fleet, guests),
        };
        let quickest = || {
            let memory = |g: &&usize| fleet.guests()[**g].memory;
            guests.iter().min_by_key(memory).copied()
        };
        correlated.or_else(quickest)
    }
}

/// With S the covariance of the guests' pasts, guest i is explained by the others to the degree
/// R² = 1 − 1 ÷ (S_ii · (S⁻¹)_ii). `None` where there are too few looks for that many guests.
fn most_correlated(fleet: &Fleet, guests: &[usize]) -> Option<usize> {
    let looks = guests.iter().map(|g| fleet.past(*g).len()).min()?.min(PAST);
    if looks < guests.len() + 1 || guests.is_empty() {
        return None;
    }
    let series: Vec<Vec<f64>> = guests
        .iter()
        .map(|g| {
            let past = fleet.past(*g);
            let newest = &past[past.len() - looks..];
            let mean = newest.iter().sum::<f64>() / looks as f64;
            newest.iter().map(|v| v - mean).collect()
        })
        .collect();
    // Who never changes explains nobody and is explained by nobody.
    let lively: Vec<usize> = (0..guests.len())
        .filter(|i| dot(&series[*i], &series[*i]) > 1e-12)
        .collect();
    let n = lively.len();
    let mut matrix = vec![vec![0.0; n]; n];
    for a in 0..n {
        for b in 0..n {
            matrix[a][b] = dot(&series[lively[a]], &series[lively[b]]);
        }
    }
    let diagonal: Vec<f64> = (0..n).map(|a| matrix[a][a]).collect();
    let inverse = inverse(matrix);
    let mut best: Option<(f64, usize)> = None;
    for a in 0..n {
        let explained = 1.0 - 1.0 / (diagonal[a] * inverse[a][a]);
        if explained > best.map_or(0.0, |b| b.0) {
            best = Some((explained, lively[a]));
        }
    }
    Some(guests[best.map_or(0, |b| b.1)])
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// By elimination with the largest pivot of each column; a pivot of nothing counts as next to nothing.
fn inverse(mut a: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let n = a.len();
    let mut inverse: Vec<Vec<f64>> = (0..n)
        .map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect())
        .collect();
    for column in 0..n {
        let size = |row: &usize| a[*row][column].abs();
        let pivot = (column..n)
            .max_by(|x, y| size(x).total_cmp(&size(y)))
            .unwrap_or(column);
        a.swap(column, pivot);
        inverse.swap(column, pivot);
        let by = if a[column][column].abs() < 1e-30 {
            1e-30
        } else {
            a[column][column]
        };
        for k in 0..n {
            a[column][k] /= by;
            inverse[column][k] /= by;
        }
        for row in (0..n).filter(|r| *r != column) {
            let times = a[row][column];
            if times == 0.0 {
                continue;
            }
            for k in 0..n {
                a[row][k] -= times * a[column][k];
                inverse[row][k] -= times * inverse[column][k];
            }
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_times_its_inverse_is_one() {
        let a = vec![
            vec![0.0, 2.0, 1.0],
            vec![2.0, 1.0, 0.0],
            vec![1.0, 0.0, 3.0],
        ];
        let b = inverse(a.clone());
        for (i, row) in a.iter().enumerate() {
            for j in 0..3 {
                let sum: f64 = row.iter().zip(&b).map(|(x, other)| x * other[j]).sum();
                let one = f64::from(u8::from(i == j));
                assert!((sum - one).abs() < 1e-12);
            }
        }
    }
}
