//! Flows: what frames differ in.

use super::{Field, Profile};

/// Flows that a profile has at most.
pub const MOST_FLOWS: u32 = 1 << 20;
/// First source port of a tunnel's outer header, and how many there are: the dynamic ports, as RFC 7348
/// section 5 recommends.
const OUTER_PORTS: (u16, u32) = (49_152, 16_384);

/// How far each field of a flow is from that of the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow {
    /// Source address.
    pub source: u32,
    /// Destination address.
    pub destination: u32,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Source port of the outer header of a tunnel, itself.
    pub outer_port: u16,
}

impl Flow {
    /// One of a profile's flows, by its number: digits of the number, the first field's the lowest.
    #[must_use]
    pub fn of(profile: &Profile, number: u32) -> Self {
        let mut flow =
            Self { outer_port: OUTER_PORTS.0 + (number % OUTER_PORTS.1) as u16, ..Self::default() };
        let mut rest = number;
        for spread in profile.spread() {
            let values = spread.values.max(1);
            let digit = rest % values;
            rest /= values;
            match spread.field {
                Field::SourceAddress => flow.source = digit,
                Field::DestinationAddress => flow.destination = digit,
                // Checked: no field takes more values than a port has.
                Field::SourcePort => flow.source_port = digit as u16,
                Field::DestinationPort => flow.destination_port = digit as u16,
            }
        }
        flow
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_flows_are_the_same() {
        for name in ["64", "flows-2", "flows-5000", "flows-70000"] {
            let profile = Profile::named(name).unwrap();
            let flows: BTreeSet<Flow> = (0..profile.flows())
                .map(|n| Flow { outer_port: 0, ..Flow::of(&profile, n) })
                .collect();
            assert_eq!(flows.len(), profile.flows() as usize, "{name}");
        }
    }

    #[test]
    fn fields_count_like_digits() {
        let text = "name = 'a'\nsizes = [{ bytes = 64 }]\nspread = [\
                    { field = 'destination-port', values = 3 }, \
                    { field = 'source-address', values = 2 }]";
        let profile = Profile::parse(text).unwrap();
        let flows: Vec<(u16, u32)> = (0..profile.flows())
            .map(|n| Flow::of(&profile, n))
            .map(|f| (f.destination_port, f.source))
            .collect();
        assert_eq!(flows, [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]);
    }
}
