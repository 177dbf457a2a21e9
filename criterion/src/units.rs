//! Conversion of figures to the numbers that criterion calculates with, and their display.

use criterion::Throughput;
use criterion::measurement::ValueFormatter;

/// The measure of an iteration without allocations, because criterion refuses samples of 0. It is a
/// power of two, so that samples of any length have exactly this average.
const NONE: f64 = 1.0 / (1 << 30) as f64;

/// The measure of a sample without allocations whose number of iterations is not known. Criterion
/// divides it by that number. Its square underflows to 0, so two runs without allocations have no
/// variance, and criterion sees no change, whatever each was divided by. A figure divided by it is still
/// finite.
const NONE_AT_ALL: f64 = 1e-162;

/// Returns a sample's figure, exact up to 2⁵³.
#[expect(clippy::cast_precision_loss, reason = "criterion calculates with f64")]
pub(crate) fn of_a_sample(figure: u64, iterations: u64) -> f64 {
    match (figure, iterations) {
        (0, 0) => NONE_AT_ALL,
        (0, _) => iterations as f64 * NONE,
        _ => figure as f64,
    }
}

/// Returns an average as it is shown. [`NONE`] is shown as 0, also if criterion has rounded it.
fn shown(average: f64) -> f64 {
    if average < 2.0 * NONE { 0.0 } else { average }
}

pub(crate) const ALLOCATIONS: Units = Units {
    scale: &[(1.0, "allocs")],
    machine: "allocs",
    per_element: "elem/alloc",
    per_byte: "B/alloc",
    per_bit: "b/alloc",
};

const BINARY: &[(f64, &str)] = &[
    (1.0, "B"),
    (1024.0, "KiB"),
    (1_048_576.0, "MiB"),
    (1_073_741_824.0, "GiB"),
];

pub(crate) const BYTES: Units = Units {
    scale: BINARY,
    machine: "bytes",
    per_element: "elem/B",
    per_byte: "B/B",
    per_bit: "b/B",
};

pub(crate) const PEAK_BYTES: Units = Units {
    scale: BINARY,
    machine: "peak bytes",
    per_element: "elem/B peak",
    per_byte: "B/B peak",
    per_bit: "b/B peak",
};

/// The display of one kind of figure.
pub(crate) struct Units {
    /// Units and their sizes, from the smallest to the largest.
    scale: &'static [(f64, &'static str)],
    machine: &'static str,
    /// Throughput per unit of the figure instead of per second. More is better, as criterion assumes.
    per_element: &'static str,
    per_byte: &'static str,
    per_bit: &'static str,
}

impl ValueFormatter for Units {
    fn scale_values(&self, typical: f64, averages: &mut [f64]) -> &'static str {
        let largest = self.scale.iter().rfind(|(size, _)| *size <= typical);
        let (size, unit) = largest.unwrap_or(&self.scale[0]);
        for average in averages {
            *average = shown(*average) / size;
        }
        unit
    }

    #[expect(clippy::cast_precision_loss, reason = "criterion calculates with f64")]
    fn scale_throughputs(
        &self,
        _typical: f64,
        throughput: &Throughput,
        averages: &mut [f64],
    ) -> &'static str {
        let (amount, unit) = match *throughput {
            Throughput::Elements(elements) | Throughput::ElementsAndBytes { elements, .. } => {
                (elements, self.per_element)
            }
            Throughput::Bytes(bytes) | Throughput::BytesDecimal(bytes) => (bytes, self.per_byte),
            Throughput::Bits(bits) => (bits, self.per_bit),
        };
        for average in averages {
            // Dividing by a figure of 0 gives infinity, but 0 elements give 0 and not NaN.
            *average = match shown(*average) {
                _ if amount == 0 => 0.0,
                shown => amount as f64 / shown,
            };
        }
        unit
    }

    fn scale_for_machines(&self, averages: &mut [f64]) -> &'static str {
        for average in averages {
            *average = shown(*average);
        }
        self.machine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_largest_unit_that_fits() {
        let values = |units: &Units, values: &[f64]| -> Vec<String> {
            let value = |&value: &f64| units.format_value(value);
            values.iter().map(value).collect()
        };
        assert_eq!(
            values(&ALLOCATIONS, &[NONE, 0.5, 3.0, 12_345.0]),
            [
                "0.0000 allocs",
                "0.5000 allocs",
                "3.0000 allocs",
                " 12345 allocs"
            ]
        );
        assert_eq!(
            values(&BYTES, &[NONE, 1023.0, 1024.0, 1536.0 * 1024.0, 5e9]),
            [
                "0.0000 B",
                "1023.0 B",
                "1.0000 KiB",
                "1.5000 MiB",
                "4.6566 GiB"
            ]
        );
    }

    #[test]
    fn throughput_is_per_unit_of_the_figure() {
        let elements = Throughput::Elements(10);
        let throughput = |units: &Units, of: &Throughput, value| units.format_throughput(of, value);
        assert_eq!(
            throughput(&ALLOCATIONS, &elements, 4.0),
            "2.5000 elem/alloc"
        );
        assert_eq!(
            throughput(&ALLOCATIONS, &elements, NONE),
            "   inf elem/alloc"
        );
        assert_eq!(
            throughput(&BYTES, &Throughput::Bytes(8), 16.0),
            "0.5000 B/B"
        );
        assert_eq!(throughput(&BYTES, &Throughput::Bits(0), NONE), "0.0000 b/B");
    }

    #[test]
    fn no_allocations_are_written_as_0_for_machines() {
        let mut values = [NONE, 2.0];
        assert_eq!(BYTES.scale_for_machines(&mut values), "bytes");
        assert_eq!(values.map(|value| value.to_string()), ["0", "2"]);
    }

    /// In samples of one iteration, which have the largest average, and in the longest possible.
    #[test]
    fn samples_without_allocations_have_no_variance_and_a_finite_ratio() {
        let sample = of_a_sample(0, 0);
        assert_eq!((sample * sample).to_bits(), 0.0_f64.to_bits());
        #[expect(clippy::cast_precision_loss, reason = "as criterion does")]
        let longest = (1_u64 << 53) as f64;
        let average = sample / longest;
        assert!(average > 0.0 && (longest / average).is_finite());
        assert_eq!(ALLOCATIONS.format_value(sample), "0.0000 allocs");
    }

    #[test]
    fn no_allocations_have_the_same_average_in_samples_of_any_length() {
        for iterations in [1, 3, 10, 12_345_679, (1 << 53) - 1] {
            #[expect(clippy::cast_precision_loss, reason = "as criterion does")]
            let average = of_a_sample(0, iterations) / iterations as f64;
            assert_eq!(average.to_bits(), NONE.to_bits(), "{iterations}");
        }
    }
}
