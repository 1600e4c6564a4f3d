//! "Did you mean ...?"

/// The candidate most like `word`, if any is like it at all.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::jaro_winkler(&word, &c.to_lowercase()), c))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// The next step after a name was not found: the closest one, or all there are.
pub(crate) fn instead(word: &str, what: &str, candidates: &[&str]) -> String {
    match (closest(word, candidates.iter().copied()), candidates) {
        (Some(near), _) => format!("did you mean '{near}'?"),
        (None, []) => format!("there is no {what} here"),
        (None, all) if all.len() <= 12 => format!("there is {}", all.join(", ")),
        (None, all) => format!("there is {} ... ({} in all)", all[..12].join(", "), all.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_is_not() {
        assert_eq!(closest("eth1", ["lo", "eth0"]), Some("eth0"));
        assert_eq!(closest("nativ", ["generic", "native"]), Some("native"));
        assert_eq!(closest("zzz", ["lo", "eth0"]), None);
        assert_eq!(instead("zzz", "interface", &["lo", "eth0"]), "there is lo, eth0");
        assert_eq!(instead("zzz", "interface", &[]), "there is no interface here");
    }
}
