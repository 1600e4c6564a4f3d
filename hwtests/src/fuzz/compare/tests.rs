//! What is taken as equal, and what is not.

use super::*;

fn seen(verdict: u32, returned: u32, frame: &[u8]) -> Observed {
    Observed { verdict, returned, frame: frame.to_vec() }
}

fn frame(ethertype: [u8; 2], rest: &[u8]) -> Vec<u8> {
    let mut frame = vec![7; 12];
    frame.extend(ethertype);
    frame.extend(rest);
    frame
}

#[test]
fn what_is_taken_as_equal_and_what_is_not() {
    let plain = frame([8, 0], &[0x45; 20]);
    let tagged = frame([0x81, 0], &[0, 7, 8, 0, 1, 2, 3, 4]);
    let stripped = frame([8, 0], &[1, 2, 3, 4]);
    let same = |sent: &[u8], native: Observed, other: Observed| {
        let mut applied = Applied::new();
        let way = match native.returned {
            4 => Way::Open,
            5 => Way::Absent,
            _ => Way::TooNarrow,
        };
        let given = Given { sent, hook: Hook::Tc, way };
        let outcome = runs(given, &native, &other, &mut applied);
        (outcome.map_err(|d| d.kind()), applied.into_keys().map(Normalisation::name).collect())
    };
    let short = frame([0x81, 0], &[0, 7]);
    type Expected = (Result<(), &'static str>, Vec<&'static str>);
    let cases: [(Observed, Observed, Expected); 16] = [
        (seen(3, 3, &short), seen(3, 2, &short), (Ok(()), vec!["cut-off-tag"])),
        (seen(2, 2, &tagged), seen(2, 2, &tagged), (Err("action"), vec![])),
        (seen(2, 2, &plain), seen(2, tc::NEXT, &plain), (Ok(()), vec![])),
        (seen(200, 200, &plain), seen(0, 2, &plain), (Ok(()), vec!["unknown-verdict"])),
        (seen(1, 1, &plain), seen(2, tc::NEXT, &plain), (Err("verdict"), vec![])),
        (seen(2, 2, &plain), seen(2, 2, &plain), (Err("action"), vec![])),
        (seen(4, 4, &plain), seen(4, 7, &plain), (Ok(()), vec![])),
        (seen(4, 4, &plain), seen(4, 2, &plain), (Err("action"), vec![])),
        (seen(4, 0, &plain), seen(4, 7, &plain), (Err("action"), vec![])),
        (seen(4, 5, &plain), seen(4, 7, &plain), (Ok(()), vec!["absent-target"])),
        (seen(4, 0, &plain), seen(4, 2, &plain), (Ok(()), vec!["redirect-decided-at-once"])),
        (seen(3, 3, &plain), seen(3, 2, &plain), (Err("action"), vec![])),
        (
            seen(2, 2, &tagged),
            seen(2, tc::NEXT, &stripped),
            (Ok(()), vec!["outer-tag-in-metadata"]),
        ),
        (seen(2, 2, &tagged), seen(2, tc::NEXT, &tagged), (Err("frame"), vec![])),
        (seen(1, 1, &tagged), seen(1, 2, &stripped), (Err("frame"), vec![])),
        (seen(2, 2, &plain), seen(2, tc::NEXT, &tagged), (Err("frame"), vec![])),
    ];
    for (native, other, expected) in cases {
        let label = format!("{native:?} {other:?}");
        assert_eq!(same(&plain, native, other), expected, "{label}");
    }
    let untouched = same(&tagged, seen(2, 2, &tagged), seen(2, tc::NEXT, &tagged));
    assert_eq!(untouched, (Ok(()), vec![]), "a tag may stay where it came");
}

#[test]
fn maps_differ_by_the_entries_that_do() {
    let entry = |key: u8, value: u8| (vec![key], vec![value]);
    let of = |entries: &[(Vec<u8>, Vec<u8>)]| BTreeMap::from([(MapId(3), entries.to_vec())]);
    let (a, b) = (of(&[entry(1, 1), entry(2, 2)]), of(&[entry(1, 1), entry(2, 3)]));
    assert_eq!(maps(&a, &a, |_| String::new()), Ok(()));
    let expected = Difference::Map {
        name: "m0".to_owned(),
        native: vec![entry(2, 2)],
        other: vec![entry(2, 3)],
    };
    assert_eq!(maps(&a, &b, |_| "m0".to_owned()), Err(expected));
}
