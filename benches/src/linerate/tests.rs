use super::*;

/// Mpps and ns, as they are printed in tables of the field.
const PUBLISHED: [(&str, [(f64, f64); 6]); 8] = [
    (
        "64",
        [
            (14.881, 67.20),
            (37.202, 26.88),
            (59.524, 16.80),
            (148.810, 6.72),
            (297.619, 3.36),
            (595.238, 1.68),
        ],
    ),
    (
        "128",
        [
            (8.446, 118.4),
            (21.115, 47.36),
            (33.784, 29.60),
            (84.459, 11.84),
            (168.919, 5.92),
            (337.838, 2.96),
        ],
    ),
    (
        "256",
        [
            (4.529, 220.8),
            (11.322, 88.32),
            (18.116, 55.20),
            (45.290, 22.08),
            (90.580, 11.04),
            (181.159, 5.52),
        ],
    ),
    (
        "512",
        [
            (2.350, 425.6),
            (5.874, 170.2),
            (9.398, 106.4),
            (23.496, 42.56),
            (46.992, 21.28),
            (93.985, 10.64),
        ],
    ),
    (
        "1024",
        [
            (1.197, 835.2),
            (2.993, 334.1),
            (4.789, 208.8),
            (11.973, 83.52),
            (23.946, 41.76),
            (47.893, 20.88),
        ],
    ),
    (
        "1280",
        [
            (0.962, 1040.0),
            (2.404, 416.0),
            (3.846, 260.0),
            (9.615, 104.0),
            (19.231, 52.00),
            (38.462, 26.00),
        ],
    ),
    (
        "1518",
        [
            (0.813, 1230.0),
            (2.032, 492.2),
            (3.251, 307.6),
            (8.127, 123.0),
            (16.255, 61.52),
            (32.510, 30.76),
        ],
    ),
    (
        "imix",
        [
            (3.344, 299.1),
            (8.359, 119.6),
            (13.375, 74.77),
            (33.437, 29.91),
            (66.875, 14.95),
            (133.749, 7.48),
        ],
    ),
];

#[test]
fn the_table_is_that_of_the_field() {
    let table = Table::of(&Size::usual(), &SPEEDS);
    assert_eq!(table.rows.len(), PUBLISHED.len());
    for (row, (size, cells)) in table.rows.iter().zip(PUBLISHED) {
        assert_eq!(row.size.to_string(), size);
        for (cell, (mpps, nanoseconds)) in row.cells.iter().zip(cells) {
            assert!(
                (cell.pps / 1e6 - mpps).abs() < 0.000_51,
                "{size} at {}G: {cell:?}",
                cell.gbits
            );
            let apart = (cell.nanoseconds - nanoseconds).abs() / nanoseconds;
            assert!(apart < 0.001, "{size} at {}G: {cell:?}", cell.gbits);
        }
    }
}

#[test]
fn data_rates_leave_out_what_is_between_frames() {
    let cell = Cell::of(10.0, 64.0);
    assert!((cell.frame_gbits - 10.0 * 64.0 / 84.0).abs() < 1e-12, "{cell:?}");
    assert!((Cell::of(1.0, 1518.0).pps - 81_274.4).abs() < 0.1, "any speed will do");
}

#[test]
fn sizes_are_read_and_written_alike() {
    for (text, mean, written) in [
        ("64", 64.0, "64"),
        ("imix", 353.833_333_333_333_3, "imix"),
        ("IMIX", 353.833_333_333_333_3, "imix"),
        ("64x28+570x16+1518x4", 353.833_333_333_333_3, "imix"),
        ("64x7+570x4+1518x1", 353.833_333_333_333_3, "64x7+570x4+1518x1"),
        ("64+100", 82.0, "64x1+100x1"),
    ] {
        let size: Size = text.parse().unwrap();
        assert!((size.mean() - mean).abs() < 1e-9, "{text}");
        assert_eq!(size.to_string(), written, "{text}");
    }
    for text in ["", "0", "63", "64+60", "64x0", "x4", "64+", "-1", "64,128", "many"] {
        assert!(text.parse::<Size>().is_err(), "{text:?}");
    }
}

#[test]
fn text_is_aligned_and_exact() {
    let table = Table::of(&[Size::one(64), Size::one(1518)], &[2.5, 10.0]);
    let expected = "\
frame                     2.5G                     10G
64      3.720 Mpps (268.8 ns)  14.881 Mpps (67.20 ns)
1518     0.203 Mpps (4922 ns)    0.813 Mpps (1230 ns)";
    let text = table.text();
    let squeezed = |text: &str| {
        text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(squeezed(&text), squeezed(expected));
    let ends: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
    assert!(ends.iter().all(|end| *end == ends[0]), "{text}");
}
