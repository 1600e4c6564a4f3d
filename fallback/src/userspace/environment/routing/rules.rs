//! Policy rules: which tables are asked, and in which order (`fib_rules_lookup`).

use super::address::within;
use super::index::Flow;
use super::{Action, Rule, Wanted};

/// What came of asking the rules.
#[derive(Debug)]
pub(super) enum Outcome<T> {
    /// A table answered.
    Answer(T),
    /// A rule refused by itself.
    Refuses(Action),
    /// Neither.
    Nothing,
}

/// Walks the rules and asks `table` wherever one says so. It answers with what it found and the bits
/// of the prefix, or `None` to go on with the next rule.
pub(super) fn walk<T>(
    rules: &[Rule],
    flow: &Flow,
    vrf_table: Option<u32>,
    mut table: impl FnMut(u32) -> Option<(T, u8)>,
) -> Outcome<T> {
    let mut at = 0;
    while let Some(rule) = rules.get(at) {
        at += 1;
        if matches(rule, flow, vrf_table) == rule.invert {
            continue;
        }
        match rule.action {
            Action::Nop => {}
            // Targets lie further down; one that does not exist is as if the rule did not.
            Action::Goto(priority) => {
                let target = rules.iter().position(|r| r.priority == priority);
                at = target.filter(|t| *t >= at).unwrap_or(at);
            }
            Action::Table(id) => {
                let id = if rule.l3mdev { vrf_table.unwrap_or(id) } else { id };
                let kept = |bits: u8| rule.suppress_prefix.is_none_or(|most| bits > most);
                if let Some((found, bits)) = table(id)
                    && kept(bits)
                {
                    return Outcome::Answer(found);
                }
            }
            refuses @ (Action::Blackhole | Action::Unreachable | Action::Prohibit) => {
                return Outcome::Refuses(refuses);
            }
        }
    }
    Outcome::Nothing
}

/// `fib_rule_match` with `fib4_rule_match` and `fib6_rule_match`, before inversion.
fn matches(rule: &Rule, flow: &Flow, vrf_table: Option<u32>) -> bool {
    /// `INET_DSCP_LEGACY_TOS_MASK`.
    const LEGACY_TOS: u8 = 0x1c;
    let interface = |wanted: Option<Wanted>, is: u32| match wanted {
        None => true,
        Some(Wanted::Index(index)) => index == is,
        Some(Wanted::Missing) => false,
    };
    let ports = |wanted: Option<(u16, u16)>, is: u16| {
        wanted.is_none_or(|(from, to)| (from..=to).contains(&is))
    };
    // Without a source to go by, IPv6 leaves rules on sources out (`RT6_LOOKUP_F_HAS_SADDR`).
    let source = |n| within(flow.from, n) && !(flow.to.is_ipv6() && flow.output);
    let tos = if flow.to.is_ipv6() { 0xfc } else { LEGACY_TOS };
    !rule.never
        && interface(rule.iif, flow.incoming())
        && interface(rule.oif, flow.outgoing())
        && (rule.mark.0 ^ flow.mark) & rule.mark.1 == 0
        && (!rule.l3mdev || vrf_table.is_some())
        && rule.from.is_none_or(source)
        && rule.to.is_none_or(|n| within(flow.to, n))
        && (rule.tos == 0 || rule.tos == flow.tos & tos)
        && rule.dscp.is_none_or(|d| d == flow.tos & 0xfc)
        && (rule.protocol == 0 || rule.protocol == flow.protocol)
        && ports(rule.source_ports, flow.ports.0)
        && ports(rule.destination_ports, flow.ports.1)
}
