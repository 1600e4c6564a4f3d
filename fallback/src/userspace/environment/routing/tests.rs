//! The lookup on small tables; `hwtests/tests/helpers` compares it with the kernel's on real ones.

use std::net::IpAddr;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn route(to: &str, prefix: u8, change: impl FnOnce(&mut Route)) -> Route {
    let mut route = Route {
        table: TABLE_MAIN,
        to: ip(to),
        prefix,
        tos: 0,
        metric: 0,
        kind: RouteKind::Unicast,
        source: None,
        mtu: None,
        mtu_locked: false,
        preference: 0,
        hops: vec![Hop { interface: 2, weight: 1, ..Hop::default() }],
    };
    change(&mut route);
    route
}

fn by(gateway: &str) -> Vec<Hop> {
    vec![Hop { interface: 2, gateway: Some(ip(gateway)), weight: 1, ..Hop::default() }]
}

fn flow(to: &str) -> Flow {
    Flow {
        interface: 2,
        output: false,
        from: if to.contains(':') { ip("fd99::1") } else { ip("10.9.9.9") },
        to: ip(to),
        tos: 0,
        protocol: 17,
        ports: (1, 2),
        mark: 0,
        table: None,
    }
}

fn interfaces() -> Vec<Interface> {
    let lone = Routing::lone(2, 1500, [2, 0, 0, 0, 0, 2]);
    let other = Interface { index: 3, mtu: 70000, ..lone.interfaces[0].clone() };
    [lone.interfaces, vec![other]].concat()
}

fn index(routes: Vec<Route>, rules: Vec<Rule>) -> Index {
    Index::new(&Routing { interfaces: interfaces(), routes, rules, ..Routing::default() })
}

/// The router that a flow takes.
fn gateway(index: &Index, flow: &Flow) -> Result<String, Refused> {
    let found = index.lookup(flow)?;
    Ok(found.hop.gateway.map_or_else(|| "link".to_owned(), |g| g.to_string()))
}

#[test]
fn the_longest_prefix_wins_then_tos_then_metric() {
    let index = index(
        vec![
            route("0.0.0.0", 0, |r| r.hops = by("10.0.0.1")),
            route("10.1.0.0", 16, |r| (r.hops, r.metric) = (by("10.0.0.2"), 9)),
            route("10.1.0.0", 16, |r| (r.hops, r.metric) = (by("10.0.0.3"), 5)),
            route("10.1.0.0", 16, |r| (r.hops, r.tos) = (by("10.0.0.4"), 0x10)),
            route("10.1.2.0", 24, |r| r.kind = RouteKind::Throw),
            route("10.1.3.0", 24, |r| r.kind = RouteKind::Prohibit),
            route("10.1.4.0", 24, |r| {
                r.hops = by("10.0.0.5");
                r.hops[0].dead = true;
            }),
        ],
        Vec::new(),
    );
    let with_tos = |tos| Flow { tos, ..flow("10.1.9.9") };
    for (flow, expected) in [
        (flow("10.2.0.1"), Ok("10.0.0.1")),
        (flow("10.1.0.1"), Ok("10.0.0.3")),
        (with_tos(0x10), Ok("10.0.0.4")),
        (with_tos(0xb3), Ok("10.0.0.4")),
        (with_tos(0x04), Ok("10.0.0.3")),
        // A throw route ends the search, though a shorter prefix would do.
        (flow("10.1.2.1"), Err(Refused::NotForwarded)),
        (flow("10.1.3.1"), Err(Refused::Prohibit)),
        // A dead next hop does not.
        (flow("10.1.4.1"), Ok("10.0.0.3")),
    ] {
        let expected = expected.map(str::to_owned);
        assert_eq!(gateway(&index, &flow), expected, "{flow:?}");
    }
}

#[test]
fn rules_choose_tables_and_suppress_what_they_find() {
    let table = |id| move |r: &mut Route| r.table = id;
    let routes = vec![
        route("0.0.0.0", 0, |r| r.hops = by("10.0.0.1")),
        route("10.7.0.0", 16, |r| r.hops = by("10.0.0.7")),
        route("0.0.0.0", 0, |r| (r.table, r.hops) = (100, by("10.0.0.100"))),
        route("10.8.0.0", 16, table(100)),
    ];
    let rule = |priority, action, change: fn(&mut Rule)| {
        let mut rule = Rule { priority, action, ..Rule::default() };
        change(&mut rule);
        rule
    };
    let main = Action::Table(TABLE_MAIN);
    let rules = vec![
        rule(1, Action::Goto(50), |r| r.mark = (5, 0xff)),
        rule(10, Action::Blackhole, |r| r.to = Some((ip("10.66.0.0"), 16))),
        rule(20, main, |r| r.suppress_prefix = Some(0)),
        rule(30, Action::Table(100), |r| r.protocol = 17),
        rule(50, main, |_| {}),
    ];
    let index = index(routes, rules);
    let tcp = Flow { protocol: 6, ..flow("10.2.0.1") };
    for (flow, expected) in [
        (flow("10.66.0.1"), Err(Refused::Blackhole)),
        (flow("10.7.0.1"), Ok("10.0.0.7")),
        (flow("10.2.0.1"), Ok("10.0.0.100")),
        (flow("10.8.0.1"), Ok("link")),
        (tcp, Ok("10.0.0.1")),
        (Flow { mark: 5, ..flow("10.66.0.1") }, Ok("10.0.0.1")),
        (Flow { table: Some(100), ..flow("10.66.0.1") }, Ok("10.0.0.100")),
        (Flow { table: Some(101), ..flow("10.66.0.1") }, Err(Refused::NotForwarded)),
    ] {
        assert_eq!(gateway(&index, &flow), expected.map(str::to_owned), "{flow:?}");
    }
}

#[test]
fn ipv6_prefers_the_interface_and_then_the_router() {
    let through = |interface, preference| {
        move |r: &mut Route| {
            r.hops[0].interface = interface;
            r.preference = preference;
        }
    };
    let index = index(
        vec![
            route("fd01::", 64, through(3, 0)),
            route("fd01::", 64, through(2, 0)),
            route("fd02::", 64, through(2, 0)),
            route("fd02::", 64, through(3, 1)),
            route("fd03::", 64, |r| (r.kind, r.hops) = (RouteKind::Unreachable, Vec::new())),
            route("fd04::", 64, |r| r.table = TABLE_LOCAL),
            route("fd04::", 64, |r| r.hops = by("fd00::1")),
        ],
        Vec::new(),
    );
    let interface = |to| index.lookup(&flow(to)).map(|found| found.hop.interface);
    assert_eq!(interface("fd01::1"), Ok(2));
    assert_eq!(interface("fd02::1"), Ok(3));
    assert_eq!(interface("fd03::1"), Err(Refused::Unreachable));
    assert_eq!(gateway(&index, &flow("fd04::1")), Ok("link".to_owned()));
}

#[test]
fn flows_are_spread_by_weight_and_stay_where_they_are() {
    let hop = |gateway: &str, weight| Hop { weight, ..by(gateway)[0].clone() };
    let hops = vec![hop("10.0.0.1", 1), hop("10.0.0.2", 3)];
    let index = index(vec![route("0.0.0.0", 0, |r| r.hops = hops)], Vec::new());
    let first = (0..=255_u8).filter(|last| {
        let flow = flow(&format!("10.1.1.{last}"));
        assert_eq!(gateway(&index, &flow), gateway(&index, &flow));
        gateway(&index, &flow) == Ok("10.0.0.1".to_owned())
    });
    let first = first.count();
    assert!((32..96).contains(&first), "{first} of 256, a quarter wanted");
}

#[test]
fn mtus_count_when_locked_and_have_limits() {
    let index = index(
        vec![
            route("10.1.0.0", 16, |r| r.mtu = Some(900)),
            route("10.2.0.0", 16, |r| (r.mtu, r.mtu_locked) = (Some(900), true)),
            route("10.3.0.0", 16, |r| r.hops[0].interface = 3),
        ],
        Vec::new(),
    );
    let mtu = |to| index.mtu(&index.lookup(&flow(to)).unwrap(), false);
    assert_eq!((mtu("10.1.0.1"), mtu("10.2.0.1"), mtu("10.3.0.1")), (1500, 900, 65535));
    assert!(index.takes(2, 1518) && !index.takes(2, 1519) && !index.takes(4, 60));
}
