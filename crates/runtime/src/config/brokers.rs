//! Addresses of brokers as somebody wrote them. The client takes nearly everything, and what is wrong comes to light only as
//! brokers that do not answer.

use std::net::Ipv6Addr;

use millstream_pipeline::codes;

use super::properties::WrongProperty;

/// What the client takes before a host, as `SSL://`, in either case.
const PROTOCOLS: [&str; 4] = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];

const FORM: &str = "Brokers are named by host and port, with commas between: broker-1:9092,broker-2:9092.";

/// Checks `bootstrap.servers`. If it is `hidden`, nothing of it is shown.
///
/// # Errors
/// If one of the addresses is none.
pub(super) fn check(written: &str, hidden: bool) -> Result<(), WrongProperty> {
    let wrong = |message: String, help: String| WrongProperty { code: codes::BAD_PROPERTY, message, help, meant: None };
    if written.trim().is_empty() {
        return Err(wrong("`bootstrap.servers` is empty".to_owned(), FORM.to_owned()));
    }
    for address in written.split(',').map(str::trim) {
        let Err((why, help)) = check_one(address, hidden) else { continue };
        let shown = if hidden { "an address".to_owned() } else { format!("`{address}`") };
        return Err(match address.is_empty() {
            true => wrong("`bootstrap.servers` has a comma without an address beside it".to_owned(), FORM.to_owned()),
            false => wrong(format!("{shown} in `bootstrap.servers` {why}"), help),
        });
    }
    Ok(())
}

/// What is wrong with one address, and what to do.
fn check_one(address: &str, hidden: bool) -> Result<(), (&'static str, String)> {
    let rest = match address.split_once("://") {
        Some((protocol, rest)) if PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(protocol)) => rest,
        Some(_) => return Err(("begins with a protocol that no broker speaks", format!("Leave it out. {FORM}"))),
        None => address,
    };
    let add_port = || match hidden {
        true => format!("Add the port. {FORM}"),
        false => format!("Add the port: {}:9092 if it is the usual one. {FORM}", address.trim_end_matches(':')),
    };
    let is_v6 = |host: &str| host.split('%').next().is_some_and(|host| host.parse::<Ipv6Addr>().is_ok());
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) if !is_v6(host) => return Err(("has no IPv6 address in its brackets", FORM.to_owned())),
        Some((_, "")) => return Err(("has no port", add_port())),
        Some((host, behind)) => (host, behind.strip_prefix(':').unwrap_or("-")),
        None if is_v6(rest) => return Err(("is an IPv6 address without brackets", "Write [::1]:9092.".to_owned())),
        None => match rest.split_once(':') {
            None | Some((_, "")) => return Err(("has no port", add_port())),
            Some(parts) => parts,
        },
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().is_ok_and(|port| port == 0) {
        return Err(("has something else than a port behind its host", FORM.to_owned()));
    }
    if port.parse::<u16>().is_err() {
        return Err(("has a port over 65535", FORM.to_owned()));
    }
    if host.is_empty() || host.contains(|letter: char| letter.is_whitespace() || "/@?#".contains(letter)) {
        return Err(("has no host before its port", FORM.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hosts_with_ports_are_addresses() {
        for written in [
            "broker:9092",
            "a:1,b:65535, c.example:9092",
            "10.0.0.1:9092",
            "[::1]:9092",
            "[fe80::1%eth0]:9092",
            "SSL://broker:9093",
            "sasl_ssl://a:1,SASL_PLAINTEXT://b:2,plaintext://[::1]:3",
            "under_score:9092",
        ] {
            check(written, false).unwrap_or_else(|wrong| panic!("{written}: {wrong:?}"));
        }
    }

    #[test]
    fn what_is_no_address_is_said_with_what_to_do() {
        for (written, message, help) in [
            ("", "`bootstrap.servers` is empty", "broker-1:9092,broker-2:9092"),
            (" ", "`bootstrap.servers` is empty", "host and port"),
            (",", "`bootstrap.servers` has a comma without an address beside it", "host and port"),
            ("a:1,", "a comma without an address", "host and port"),
            ("broker", "`broker` in `bootstrap.servers` has no port", "Add the port: broker:9092 "),
            ("a:1,broker:", "`broker:` in `bootstrap.servers` has no port", "Add the port: broker:9092 "),
            ("SSL://broker", "has no port", "Add the port: SSL://broker:9092 "),
            ("[::1]", "has no port", "Add the port: [::1]:9092 "),
            ("broker:port", "`broker:port` in `bootstrap.servers` has something else than a port", "host and port"),
            ("broker:0", "something else than a port", "host and port"),
            ("broker:+1", "something else than a port", "host and port"),
            ("[::1]9092", "something else than a port", "host and port"),
            ("a:1 b:2", "something else than a port", "with commas between"),
            ("broker:9092/path", "something else than a port", "host and port"),
            ("broker:65536", "has a port over 65535", "host and port"),
            ("http://broker:9092", "begins with a protocol that no broker speaks", "Leave it out."),
            ("::1", "is an IPv6 address without brackets", "Write [::1]:9092."),
            ("[broker]:9092", "has no IPv6 address in its brackets", "host and port"),
            (":9092", "has no host before its port", "host and port"),
        ] {
            let wrong = check(written, false).unwrap_err();
            assert!(wrong.message.contains(message) && wrong.help.contains(help), "{written}: {wrong:?}");
            assert_eq!(wrong.code, codes::BAD_PROPERTY);
        }
    }

    #[test]
    fn what_a_placeholder_gave_is_not_shown() {
        for written in ["hunter2", "hunter2:port", "a:1,http://hunter2:1", "[hunter2]:1", "hunter2:70000"] {
            let wrong = check(written, true).unwrap_err();
            assert!(!format!("{wrong:?}").contains("hunter2"), "{wrong:?}");
            assert!(wrong.message.starts_with("an address in `bootstrap.servers` "), "{wrong:?}");
        }
    }
}
