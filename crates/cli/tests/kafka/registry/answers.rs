//! A registry that answers, but not what was asked for: at the start of a daemon, and in the middle of a run.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::*;

pub(super) fn tests() -> Vec<suite::Trial> {
    tests![
        whatever_it_answers_in_the_middle_of_a_run_records_wait_for_it,
        whatever_it_answers_at_the_start_others_run_and_it_is_waited_for,
        who_has_nothing_else_to_run_ends_where_access_is_refused,
        one_that_came_up_without_its_store_is_heard_when_it_is_mended,
    ]
}

/// What a front says instead of the registry: status and headers, then a body.
type Said = (&'static str, &'static str);

const BROKEN: Said = ("500 Internal Server Error", "{\"error_code\": 50001, \"message\": \"the store is gone\"}");
const BUSY: Said = ("429 Too Many Requests\r\nretry-after: 2", "");
const STRANGER: Said = ("200 OK", "<html>Starting ..</html>");
const NOBODY: Said = ("401 Unauthorized", "{\"error_code\": 40101, \"message\": \"Unauthorized\"}");
const EMPTY: Said = ("404 Not Found", "{\"error_code\": 40403, \"message\": \"Schema not found\"}");

/// Each with what a daemon says of it.
const MOODS: [(Said, &str); 4] = [
    (BROKEN, "status 500: the store is gone"),
    (BUSY, "status 429"),
    (STRANGER, "is not a schema registry: no JSON"),
    (NOBODY, "refuses access (status 401)"),
];

/// Stands before a registry, and lets questions through or answers them itself.
struct Front {
    port: u16,
    registry: String,
    says: Arc<Mutex<Option<Said>>>,
    asked: Arc<AtomicUsize>,
}

impl Front {
    fn before(registry: &SchemaRegistry, says: Option<Said>) -> Result<Front> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(Trouble::io("the front"))?;
        let port = listener.local_addr().map_err(Trouble::io("the front"))?.port();
        let front = Front { port, registry: registry.url(), says: Arc::new(Mutex::new(says)), asked: Arc::default() };
        let (says, asked, to) = (front.says.clone(), front.asked.clone(), front.address().to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                asked.fetch_add(1, Ordering::SeqCst);
                let (says, to) = (*says.lock().unwrap_or_else(PoisonError::into_inner), to.clone());
                // Whoever went has heard enough.
                std::thread::spawn(move || match says {
                    Some(said) => answer(client, said),
                    None => pass(client, &to),
                });
            }
        });
        Ok(front)
    }

    fn address(&self) -> &str {
        let rest = self.registry.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    fn url(&self) -> String {
        self.registry.replacen(self.address(), &format!("127.0.0.1:{}", self.port), 1)
    }

    /// From now on it says this, or lets questions through.
    fn say(&self, says: Option<Said>) {
        *self.says.lock().unwrap_or_else(PoisonError::into_inner) = says;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(mut client: TcpStream, (head, body): Said) -> io::Result<()> {
    // A side that closes while something is unread resets the connection.
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut part = [0; 4096];
        match client.read(&mut part)? {
            0 => break,
            read => request.extend_from_slice(&part[..read]),
        }
    }
    write!(client, "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn pass(client: TcpStream, to: &str) -> io::Result<()> {
    let server = TcpStream::connect(to)?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Write);
    });
    io::copy(&mut &client, &mut &server)?;
    server.shutdown(Shutdown::Write)
}

impl Orders {
    fn start_behind(&self, front: &Front, more: &[&str]) -> DaemonCommand {
        let command = self.scenario.daemon("a").args(more.iter().copied());
        command.env("SCHEMA_REGISTRY_URL", front.url()).env("MILLSTREAM_SCHEMA_REGISTRY__REQUEST_TIMEOUT", "5s")
    }

    /// Whether records of the partition wait, as the metric says it.
    fn waits(&self, daemon: &Daemon, partition: u32) -> Result<Option<f64>> {
        let (pipeline, topic) = (self.scenario.group(), self.scenario.topic("events"));
        let labels = format!("{{pipeline=\"{pipeline}\",topic=\"{topic}\",partition=\"{partition}\"}} ");
        daemon.metric(&format!("millstream_schema_waiting{labels}"))
    }
}

fn whatever_it_answers_in_the_middle_of_a_run_records_wait_for_it() -> Result {
    let registry = SchemaRegistry::shared()?;
    let mut orders = Orders::new("answers")?;
    let front = Front::before(registry, None)?;
    let one = registry.register(&orders.subject, "AVRO", ONE)?;
    let mut daemon = orders.start_behind(&front, &[]).start()?;
    daemon.wait_until_ready(READY)?;
    orders.write(one, None, 100, &[0, 1, 2, 3])?;
    orders.wait_for_rows(100)?;
    for (at, (says, why)) in MOODS.into_iter().enumerate() {
        front.say(Some(says));
        let version = TWO.replace("\"default\":\"\"", &format!("\"default\":\"answers {at}\""));
        let version = registry.register(&orders.subject, "AVRO", &version)?;
        orders.write(version, Some("later"), 10, &[0])?;
        let before = orders.expected.len() - 10;
        orders.write(one, None, 30, &[1, 2, 3])?;
        wait_until_it_waits(&daemon, &[version], why)?;
        orders.wait_for_rows(before + 30)?;
        ensure!(daemon.get("/ready")?.status == 503, "{why}: it is ready");
        ensure!(orders.waits(&daemon, 0)? == Some(1.0), "{why}: {:?}", orders.waits(&daemon, 0)?);
        ensure!(orders.waits(&daemon, 1)? == Some(0.0), "{why}: {:?}", orders.waits(&daemon, 1)?);
        // A quarter of a second, twice that, and so on; or as it was asked to.
        let asked = front.asked();
        std::thread::sleep(Duration::from_secs(3));
        let asked = front.asked() - asked;
        ensure!(asked <= if says == BUSY { 2 } else { 5 }, "{why}: asked {asked} times in 3 seconds");
        front.say(None);
        orders.settle()?;
        daemon.wait_until_ready(READY)?;
        ensure!(orders.waits(&daemon, 0)? == Some(0.0), "{why}: {:?}", orders.waits(&daemon, 0)?);
    }
    ensure!(orders.dead_letters()? == 0, "there are dead letters");
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}

fn whatever_it_answers_at_the_start_others_run_and_it_is_waited_for() -> Result {
    let registry = SchemaRegistry::shared()?;
    for (at, (says, why)) in MOODS.into_iter().enumerate() {
        let mut orders = Orders::new(&format!("begins-{at}"))?;
        orders.scenario.set_pipeline(LATEST)?;
        let (client, kept) = (orders.scenario.client.clone(), orders.add_plain()?);
        let two = registry.register(&orders.subject, "AVRO", TWO)?;
        orders.write(two, Some("note"), 20, &[0, 1])?;

        let front = Front::before(registry, Some(says))?;
        let mut daemon = orders.start_behind(&front, &["plain.yaml"]).start()?;
        wait::until("the other pipeline", SETTLED, || Ok(client.read(&kept)?.len()), |lines| *lines == 1)?;
        let standing = || daemon.status().map(|status| of_pipeline(&status, &orders.scenario.group()));
        let expected = if says == NOBODY { "failed" } else { "waiting" };
        wait::until("the pipeline's state", READY, standing, |pipeline| pipeline["state"] == expected)?;
        let ready = daemon.get("/ready")?;
        ensure!(ready.status == 503 && ready.body.contains(why), "{why}: {}", ready.body);
        let asked = front.asked();
        std::thread::sleep(Duration::from_secs(3));
        let asked = front.asked() - asked;
        ensure!(asked <= 5, "{why}: asked {asked} times in 3 seconds");
        front.say(None);
        daemon.wait_until_ready(READY)?;
        let copied = || Ok(client.read(&orders.scenario.topic("copied"))?.len());
        let rows = wait::until("the rows", SETTLED, copied, |rows| *rows >= 20)?;
        ensure!(rows == 20, "{why}: {rows} rows of 20");
        ensure!(daemon.process.ended().is_none(), "{why}: the daemon ended: {}", daemon.output.tail(20));
    }
    Ok(())
}

fn who_has_nothing_else_to_run_ends_where_access_is_refused() -> Result {
    let orders = Orders::new("refused")?;
    let front = Front::before(SchemaRegistry::shared()?, Some(NOBODY))?;
    // It reads by a subject; or it only writes by one.
    let writes = LATEST.replace("format: avro}", "format: json, schema: {id: bigint}}");
    for (pipeline, says) in [(LATEST, "could not be asked"), (&writes, "schema_registry.password")] {
        orders.scenario.set_pipeline(pipeline)?;
        let (status, output) = orders.start_behind(&front, &[]).run(READY)?;
        let text = output.text();
        ensure!(status.code() == Some(1), "{status}: {text}");
        ensure!(text.contains("refuses access (status 401)") && text.contains(says), "{text}");
    }
    Ok(())
}

fn one_that_came_up_without_its_store_is_heard_when_it_is_mended() -> Result {
    let registry = SchemaRegistry::shared()?;
    let mut orders = Orders::new("storeless")?;
    let front = Front::before(registry, Some(EMPTY))?;
    let one = registry.register(&orders.subject, "AVRO", ONE)?;
    let mut daemon = orders.start_behind(&front, &[]).start()?;
    daemon.wait_until_ready(READY)?;
    orders.write(one, None, 1, &[0])?;
    wait::until("a dead letter", READY, || orders.dead_letters(), |letters| *letters == 1)?;
    front.say(None);
    let mut written = 1;
    let found = || {
        orders.write(one, None, 1, &[0])?;
        written += 1;
        Ok(orders.read()?.len())
    };
    let first = wait::until("a row", Duration::from_secs(100), found, |rows| *rows > 0)?;
    // Each is a row or a dead letter, and from the first row on they are rows.
    let count = || Ok((orders.read()?.len(), orders.dead_letters()?));
    let (rows, letters) = wait::until("all", SETTLED, count, |(rows, letters)| rows + letters >= written)?;
    ensure!(rows + letters == written && rows >= first && letters > 1, "{rows} + {letters} of {written}");
    let asked = front.asked();
    ensure!(asked <= 6, "asked {asked} times for one schema");
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}
