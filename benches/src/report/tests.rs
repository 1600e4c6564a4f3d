use serde_json::{Value, json};

use super::compare::{Options, compare};
use super::{Report, sample};
use crate::linerate::{SPEEDS, Size, Table};
use crate::search::simulated::Device;
use crate::search::{BackToBack, Ended, Latency, Procedure, Throughput};

fn schema(name: &str) -> Value {
    let path = format!("{}/../docs/schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let mut schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    close(&mut schema);
    schema
}

/// Forbids what the schema does not describe: readers are told to expect more, we are not.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("type") == Some(&json!("object")) && fields.contains_key("properties") {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn holds(name: &str, document: &impl serde::Serialize) -> Value {
    let document = serde_json::to_value(document).unwrap();
    let validator = jsonschema::validator_for(&schema(name)).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");
    document
}

/// A report in which every kind of search, ending and finding occurs.
fn full() -> Report {
    let mut report = sample::report(1);
    let quick = Throughput { seconds: 0.25, final_seconds: 0.5, ..Throughput::default() };
    let bursts = BackToBack { tests: 3, search: quick, ..BackToBack::default() };
    let always = Device { gaps: 1000.0, gap: 0.01, ..Device::ideal(1e6) };
    let latency = Procedure::Latency(Latency { throughput: quick, ..Latency::default() });
    for (procedure, device) in [
        (Procedure::Throughput(quick), Device::ideal(1e6)),
        (Procedure::Throughput(quick), always.clone()),
        (Procedure::BackToBack(bursts), Device { buffer: 900.0, ..Device::ideal(1e6) }),
        (Procedure::BackToBack(bursts), always.clone()),
        (latency, always),
    ] {
        let cell = sample::cell(("native", "xdp"), ("64", 64.0), &procedure, device, 1);
        report.results.push(cell);
    }
    for ended in [Ended::Failed("gone".to_owned()), Ended::OutOfTime, Ended::NoTraffic] {
        let mut cell = report.results[0].clone();
        (cell.ended, cell.pps, cell.rates) = (ended, None, Vec::new());
        report.results.push(cell);
    }
    report
}

#[test]
fn every_report_is_as_its_schema_says_and_comes_back_whole() {
    let report = full();
    let document = holds("hoist.bench.v1", &report);
    let again: Report = serde_json::from_value(document).unwrap();
    assert_eq!(again, report);
}

#[test]
fn the_schema_refuses_what_is_no_report() {
    let validator = jsonschema::validator_for(&schema("hoist.bench.v1")).unwrap();
    let good = serde_json::to_value(sample::report(1)).unwrap();
    for (pointer, value) in [
        ("/schema", json!("hoist.bench.v2")),
        ("/results/0/loss_ratio", json!(1.5)),
        ("/results/0/search", json!({"search": "unheard"})),
        ("/results/0/search", json!({"search": "soak"})),
        ("/results/0/ledger/stages/0/out/0/fate", json!("vanished")),
        ("/results/0/pps/runs", json!(-1)),
        ("/findings/0/severity", json!("fatal")),
        ("/results/0/ended", json!("perhaps")),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value.clone();
        assert!(!validator.is_valid(&bad), "{pointer} may be {value}");
    }
}

#[test]
fn a_comparison_is_as_its_schema_says() {
    let (before, mut after) = (sample::report(1), sample::report(2));
    holds("hoist.bench-compare.v1", &compare(&before, &after, &Options::default()));
    after.environment.kernel = "7.0".to_owned();
    after.results.truncate(3);
    holds("hoist.bench-compare.v1", &compare(&before, &after, &Options::default()));
}

#[test]
fn a_table_of_line_rates_is_as_its_schema_says() {
    let mut sizes = Size::usual();
    sizes.push("64x1+1500x2".parse().unwrap());
    let table = Table::of(&sizes, &SPEEDS);
    let document = holds("hoist.bench-linerate.v1", &table);
    assert_eq!(serde_json::from_value::<Table>(document).unwrap(), table);
}
