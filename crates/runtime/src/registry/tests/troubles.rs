//! What a registry that is not well answers, or somebody who is none: each has its outcome, and none lasts for ever.

use std::time::{Duration, Instant};

use super::*;

const FOUND: Reply = Reply::Json(200, "[1, 2]");
const BUSY: Reply = Reply::Json(503, r#"{"error_code": 50301, "message": "leader is not known"}"#);

/// What asking these servers ends in, and how often the first was asked.
fn ask(servers: &[&Server]) -> (Result<Vec<u32>, RegistryError>, usize) {
    let began = Instant::now();
    let asked = client(servers).versions("s", Which::Present);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    (asked, servers[0].asked())
}

fn unavailable(reply: Reply) -> String {
    match ask(&[&Server::of(vec![reply])]) {
        (Err(error @ RegistryError::Unavailable { .. }), 3) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn garbage(reply: Reply) -> String {
    match ask(&[&Server::of(vec![reply])]) {
        (Err(error @ RegistryError::Garbage { .. }), 1) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_may_pass_is_asked_three_times() {
    assert!(unavailable(BUSY).contains("status 503: leader is not known; check that it runs"));
    assert!(unavailable(Reply::Json(500, "<html>")).contains("status 500"));
    assert!(unavailable(Reply::Silence(Duration::from_secs(3))).contains("no answer within 600 ms"));
    assert!(unavailable(Reply::Drip(Duration::from_millis(100))).contains("no answer within 600 ms"));
    let broken = unavailable(Reply::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[1, 2".to_vec()));
    assert!(broken.contains("breaks off"), "{broken}");
    unavailable(Reply::Bytes(Vec::new()));

    let (asked, _) = ask(&[&Server::down()]);
    let error = asked.unwrap_err();
    assert!(matches!(error, RegistryError::Unavailable { .. }) && error.to_string().contains("refused"), "{error}");
}

#[test]
fn what_passes_is_over() {
    let server = Server::of(vec![BUSY, Reply::Json(429, ""), FOUND]);
    assert_eq!(ask(&[&server]), (Ok(vec![1, 2]), 3));
}

#[test]
fn a_wish_to_be_left_alone_is_honoured() {
    let began = Instant::now();
    let server = Server::of(vec![Reply::With(429, "retry-after: 1", "{}"), FOUND]);
    assert_eq!(ask(&[&server]), (Ok(vec![1, 2]), 2));
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());

    let (asked, times) = ask(&[&Server::of(vec![Reply::With(503, "Retry-After: 3600", "{}")])]);
    assert_eq!(times, 1);
    assert!(
        matches!(asked, Err(RegistryError::Unavailable { retry_after: Some(hour), .. }) if hour == Duration::from_secs(3600))
    );
}

#[test]
fn a_wish_may_be_a_date() {
    // By the clock of the server, which need not be right.
    let seconds = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:49:39 GMT";
    let began = Instant::now();
    let server = Server::of(vec![Reply::With(503, seconds, "{}"), FOUND]);
    assert_eq!(ask(&[&server]), (Ok(vec![1, 2]), 2));
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());

    let asked_for = |headers: &'static str| match ask(&[&Server::of(vec![Reply::With(429, headers, "{}")])]) {
        (Err(RegistryError::Unavailable { retry_after, .. }), times) => (retry_after.map(|wait| wait.as_secs()), times),
        other => panic!("{other:?}"),
    };
    let later = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 09:49:37 GMT";
    assert_eq!(asked_for(later), (Some(3600), 1), "longer than anybody waits");
    // By ours, where the server does not tell its own.
    let (wait, times) = asked_for("retry-after: Fri, 31 Dec 9999 23:59:59 GMT");
    assert!(wait > Some(1 << 37) && times == 1, "{wait:?} {times}");
    // One that has passed asks for nothing, and one that is none counts for nothing.
    assert_eq!(asked_for("retry-after: Sun, 06 Nov 1994 08:49:37 GMT"), (Some(0), 3));
    assert_eq!(asked_for("retry-after: soon"), (None, 3));
}

#[test]
fn a_refusal_is_not_asked_again() {
    for status in [401, 403] {
        let (asked, times) = ask(&[&Server::of(vec![Reply::Json(status, "go away")])]);
        let error = asked.unwrap_err();
        assert!(matches!(error, RegistryError::Refused { .. }) && times == 1, "{error}");
        assert!(error.to_string().contains("check `schema_registry.username`"), "{error}");
    }
}

#[test]
fn what_is_not_there_is_told_from_who_is_no_registry() {
    // Where it does not say that it is the subject that is not there, it is asked whether it is a registry at all.
    let missing =
        |code| server::answer(404, "a: b", format!("{{\"error_code\": {code}, \"message\": \"?\"}}").as_bytes());
    for (code, subjects, times) in [(40401, 404, 1), (404, 200, 2), (404, 403, 2)] {
        let server = Server::of(vec![Reply::Bytes(missing(code)), Reply::Json(subjects, "[]")]);
        let (asked, asked_times) = ask(&[&server]);
        let expected = format!("the schema registry at {} has no subject s", server.url);
        assert_eq!((asked.unwrap_err().to_string(), asked_times), (expected, times));
    }
    let elsewhere = Server::of(vec![Reply::Bytes(missing(404))]);
    for error in [ask(&[&elsewhere]).0.unwrap_err(), client(&[&elsewhere]).answers().unwrap_err()] {
        assert!(matches!(error, RegistryError::Garbage { .. }), "{error}");
        assert!(error.to_string().contains("status 404 to a question for its subjects"), "{error}");
    }
    assert!(garbage(Reply::Json(404, "<html>not here</html>")).contains("status 404 without a registry's error code"));
    assert!(garbage(Reply::Json(404, r#"{"error_code": 7, "message": "?"}"#)).contains("status 404"));
    assert!(garbage(Reply::Json(200, "<html>hello</html>")).contains("no JSON"));
    assert!(garbage(Reply::Json(200, r#"{"versions": []}"#)).contains("an answer of another form"));
    assert!(garbage(Reply::Json(405, "")).contains("status 405"));
    assert!(garbage(Reply::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())).contains("no HTTP"));
}

#[test]
fn nobody_is_followed_elsewhere() {
    let elsewhere = Server::of(vec![FOUND]);
    let answer = server::answer(302, &format!("location: {}/subjects/s/versions", elsewhere.url), b"");
    assert!(garbage(Reply::Bytes(answer)).contains("status 302"));
    assert_eq!(elsewhere.asked(), 0);
}

#[test]
fn an_answer_has_an_end() {
    let mut endless = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n[".to_vec();
    endless.resize(9 << 20, b' ');
    // Slow machines need longer than the other tests allow.
    let server = Server::of(vec![Reply::Bytes(endless)]);
    let settings = RegistrySettings::at(&server.url).unwrap();
    let error = Registry::new(&settings).unwrap().versions("s", Which::Present).unwrap_err();
    assert!(error.to_string().contains("more than 8 MiB"), "{error}");
}

#[test]
fn ids_that_no_registry_gives_are_not_asked_for() {
    let server = Server::of(vec![FOUND]);
    let error = client(&[&server]).by_id(SchemaId(u32::MAX)).unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }) && server.asked() == 0, "{error}");
}

#[test]
fn a_second_address_takes_over_and_stays() {
    let (down, up) = (Server::down(), Server::of(vec![FOUND]));
    let registry = client(&[&down, &up]);
    assert_eq!(registry.versions("s", Which::Present), Ok(vec![1, 2]));
    assert_eq!(registry.versions("s", Which::Present), Ok(vec![1, 2]));
    assert_eq!(up.asked(), 2);

    let stranger = Server::of(vec![Reply::Json(200, "<html>")]);
    assert_eq!(ask(&[&stranger, &up]), (Ok(vec![1, 2]), 1));
    let sick = Server::of(vec![BUSY]);
    assert_eq!(ask(&[&sick, &up]), (Ok(vec![1, 2]), 1));
    let (asked, _) = ask(&[&sick, &down]);
    let said = asked.unwrap_err().to_string();
    assert!(said.contains(&sick.url) && said.contains(&down.url), "{said}");
    // A registry that says no is believed.
    let strict = Server::of(vec![Reply::Json(401, "")]);
    let before = up.asked();
    assert!(matches!(ask(&[&strict, &up]), (Err(RegistryError::Refused { .. }), 1)));
    assert_eq!(up.asked(), before);
}

#[test]
fn a_schema_that_refers_to_ever_more_has_an_end() {
    // Each version refers to the next, without end.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = RegistrySettings::at(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().enumerate() {
            use std::io::{Read, Write};
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let body = format!(
                r#"{{"subject": "s", "version": {at}, "id": 1, "schema": "x", "references": [{{"name": "n", "subject": "s", "version": {}}}]}}"#,
                at + 1
            );
            let _ = stream.write_all(&server::answer(200, "a: b", body.as_bytes()));
        }
    });
    let error = Registry::new(&settings).unwrap().by_id(SchemaId(1)).unwrap_err();
    assert!(error.to_string().contains("refers to too many"), "{error}");
}

#[test]
fn settings_that_name_nobody_or_no_certificates_are_refused() {
    let nobody = Registry::new(&RegistrySettings::default()).err().unwrap();
    assert!(nobody.to_string().contains("no schema registry is named"), "{nobody}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let settings = RegistrySettings { ca_file: Some(path.clone()), ..RegistrySettings::at("https://a").unwrap() };
    assert!(Registry::new(&settings).err().unwrap().to_string().contains("ca.pem: No such file"));
    std::fs::write(&path, "nothing").unwrap();
    assert!(Registry::new(&settings).err().unwrap().to_string().contains("it has none (expected PEM)"));
}
