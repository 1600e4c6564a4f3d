//! Profiles with a name, and reading those of users.

use super::{Field, Ip, Profile, ProfileError, Size, Spread};

/// Frame lengths of RFC 2544 section 9.1, in bytes.
pub const RFC2544_SIZES: [u32; 7] = [64, 128, 256, 512, 1024, 1280, 1518];

/// Names of those that need no number.
const NAMES: [&str; 5] = ["imix", "vlan", "vxlan", "ipv6", "burst"];

impl Profile {
    /// A profile that comes with hoist:
    ///
    /// - `64` to `1518`: frames of one length and one flow;
    /// - `imix`: 28 parts of 64 bytes, 16 of 570, 4 of 1518 (CSIT's IMIX_v4_1);
    /// - `flows-N`: N flows of 64-byte frames, which differ in source address and source port;
    /// - `vlan`: 68 bytes, with one tag; `vxlan`: 128 bytes, in a tunnel;
    /// - `ipv6`: 82 bytes, the least that UDP over IPv6 and a stamp leave;
    /// - `burst`: 64 bytes, 32 at once.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn named(name: &str) -> Result<Self, ProfileError> {
        let sized = |bytes| Self { name: name.to_owned(), ..Self::of_size(bytes) };
        let profile = match name {
            "imix" => {
                let parts = [(64, 28), (570, 16), (1518, 4)];
                let sizes = parts.map(|(bytes, weight)| Size { bytes, weight }).to_vec();
                Self { sizes, ..sized(64) }
            }
            "vlan" => Self { vlan: vec![100], ..sized(68) },
            "vxlan" => Self { vxlan: Some(100), ..sized(128) },
            "ipv6" => Self { ip: Ip::V6, ..sized(82) },
            "burst" => Self { burst: 32, ..sized(64) },
            _ => match (name.parse(), name.strip_prefix("flows-").map(str::parse::<u32>)) {
                (Ok(bytes), _) => sized(bytes),
                (_, Some(Ok(flows))) => {
                    Self { flows: Some(flows), spread: both(flows), ..sized(64) }
                }
                _ => {
                    return Err(ProfileError::Unknown {
                        name: name.to_owned(),
                        known: Self::names(),
                    });
                }
            },
        };
        profile.check()?;
        Ok(profile)
    }

    /// The names that [`Profile::named`] knows.
    #[must_use]
    pub fn names() -> String {
        let sizes = RFC2544_SIZES.map(|bytes| bytes.to_string()).join(", ");
        format!("{sizes} (or any other length), {}, flows-N", NAMES.join(", "))
    }

    /// Reads a user's own profile.
    ///
    /// # Errors
    /// It is not TOML, or not a profile, or one that no frame can follow; the message says where.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let profile: Self =
            toml::from_str(text).map_err(|e| ProfileError::Syntax(e.to_string()))?;
        profile.check()?;
        Ok(profile)
    }
}

/// Source ports first, since RSS and connection tables see most of them.
fn both(flows: u32) -> Vec<Spread> {
    let ports = flows.min(4096);
    [
        Spread { field: Field::SourcePort, values: ports },
        Spread { field: Field::SourceAddress, values: flows.div_ceil(ports.max(1)) },
    ]
    .into_iter()
    .filter(|s| s.values > 1)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_the_same_after_it_was_written_down() {
        let sizes = RFC2544_SIZES.map(|bytes| bytes.to_string());
        let flows = ["flows-2".to_owned(), "flows-100000".to_owned()];
        let names = NAMES.iter().map(|n| (*n).to_owned());
        for name in names.chain(sizes).chain(flows) {
            let profile = Profile::named(&name).unwrap();
            assert_eq!(profile.name, name);
            let text = toml::to_string(&profile).unwrap();
            assert_eq!(Profile::parse(&text).unwrap(), profile, "{text}");
        }
    }

    #[test]
    fn what_is_no_profile_is_refused_in_words() {
        for (text, words) in [
            ("sizes = [", "TOML parse error at line 1"),
            ("sizes = [{ bytes = 64 }]", "missing field `name`"),
            ("name = 'a'\nsizes = [{ bytes = 64 }]\nflow = 3", "unknown field `flow`"),
            ("name = 'a'\nsizes = [{ bytes = 64, weigth = 3 }]", "unknown field `weigth`"),
            ("name = 'a'\nsizes = [{ bytes = -64 }]", "line 2"),
            ("name = 'a'\nsizes = [{ bytes = 64 }]\nip = 'ipx'", "unknown variant `ipx`"),
            ("name = ''\nsizes = [{ bytes = 64 }]", "has no name"),
            ("name = 'a'\nsizes = []", "has no sizes"),
            ("name = 'a'\nsizes = [{ bytes = 64, weight = 0 }]", "weight of 0"),
            ("name = 'a'\nsizes = [{ bytes = 64, weight = 1025 }]", "at most 1024"),
            ("name = 'a'\nsizes = [{ bytes = 63 }]", "63 bytes is shorter than 64"),
            ("name = 'a'\nsizes = [{ bytes = 1519 }]", "1519 bytes is longer than 1518"),
            ("name = 'a'\nvlan = [1, 2]\nsizes = [{ bytes = 1526 }]", ""),
            ("name = 'a'\nvxlan = 1\nsizes = [{ bytes = 64 }]", "64 bytes is shorter than"),
            ("name = 'a'\nvxlan = 16777216\nsizes = [{ bytes = 200 }]", "24 bits"),
            ("name = 'a'\nvlan = [4095]\nsizes = [{ bytes = 200 }]", "1 to 4094"),
            ("name = 'a'\nvlan = [1, 2, 3]\nsizes = [{ bytes = 200 }]", "two tags"),
            ("name = 'a'\nburst = 0\nsizes = [{ bytes = 200 }]", "burst of 0"),
            ("name = 'a'\nflows = 0\nsizes = [{ bytes = 200 }]", "0 flows"),
            ("name = 'a'\nflows = 2000000\nsizes = [{ bytes = 200 }]", "at most 1048576"),
            (
                "name = 'a'\nflows = 5\nspread = [{ field = 'source-port', values = 4 }]\n\
                 sizes = [{ bytes = 200 }]",
                "only 4",
            ),
            (
                "name = 'a'\nspread = [{ field = 'source-port', values = 4 }, \
                 { field = 'source-port', values = 4 }]\nsizes = [{ bytes = 200 }]",
                "twice",
            ),
            (
                "name = 'a'\nspread = [{ field = 'source-port', values = 60001 }]\n\
                 sizes = [{ bytes = 200 }]",
                "at most 60000",
            ),
        ] {
            match Profile::parse(text) {
                Ok(_) => assert!(words.is_empty(), "{text} is accepted"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(!words.is_empty() && error.contains(words), "{text}: {error}");
                }
            }
        }
        let unknown = Profile::named("imx").unwrap_err().to_string();
        assert!(unknown.contains("imx") && unknown.contains("imix"), "{unknown}");
    }

    #[test]
    fn the_mean_and_the_line_rate_are_those_of_the_tables() {
        for (name, mean, gigabits, pps) in [
            ("64", 64.0, 10.0, 14_880_952.4),
            ("1518", 1518.0, 100.0, 8_127_438.2),
            ("imix", 353.833_333, 10.0, 3_343_736.9),
        ] {
            let profile = Profile::named(name).unwrap();
            assert!((profile.mean_bytes() - mean).abs() < 1e-3, "{name}");
            let rate = profile.line_rate(gigabits * 1e9);
            assert!((rate - pps).abs() < 1.0, "{name}: {rate}");
        }
    }
}
