//! Keys and certificates made for one test by `keytool`; they are good for 127.0.0.1 and for nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, Trouble};

/// The password of every store that is made here.
pub const PASSWORD: &str = "not-a-secret";

/// A broker's and a client's keys, and whom each trusts.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The broker's certificate, PEM: what a client is to trust (`ssl.ca.location`).
    pub ca: PathBuf,
    /// A certificate of somebody else, PEM: a client that trusts only this one must refuse the broker.
    pub wrong_ca: PathBuf,
    /// A client's key and certificate, PKCS#12 (`ssl.keystore.location`), which the broker trusts.
    pub client: PathBuf,
    pub(crate) keystore: PathBuf,
    pub(crate) truststore: PathBuf,
}

impl Tls {
    /// Makes them in a folder.
    ///
    /// # Errors
    /// If `keytool` fails; a skip if there is none.
    pub fn make(folder: &Path) -> Result<Tls> {
        let path = |name: &str| folder.join(name);
        let tls = Tls {
            ca: path("broker.pem"),
            wrong_ca: path("stranger.pem"),
            client: path("client.p12"),
            keystore: path("broker.p12"),
            truststore: path("trusted-by-broker.p12"),
        };
        make_pair(&tls.keystore, "CN=localhost")?;
        make_pair(&tls.client, "CN=client")?;
        make_pair(&path("stranger.p12"), "CN=localhost")?;
        export(&tls.keystore, &tls.ca)?;
        export(&tls.client, &path("client.pem"))?;
        export(&path("stranger.p12"), &tls.wrong_ca)?;
        keytool(
            &tls.truststore,
            "-importcert",
            &["-noprompt", "-alias", "client", "-file"],
            Some(&path("client.pem")),
        )?;
        Ok(tls)
    }
}

fn make_pair(store: &Path, name: &str) -> Result {
    let arguments =
        ["-alias", "key", "-keyalg", "EC", "-validity", "2", "-ext", "SAN=IP:127.0.0.1,DNS:localhost", "-dname", name];
    keytool(store, "-genkeypair", &arguments, None)
}

fn export(store: &Path, into: &Path) -> Result {
    keytool(store, "-exportcert", &["-rfc", "-alias", "key", "-file"], Some(into))
}

fn keytool(store: &Path, verb: &str, arguments: &[&str], file: Option<&Path>) -> Result {
    let mut command = Command::new("keytool");
    command.arg(verb).args(["-storetype", "PKCS12", "-storepass", PASSWORD, "-keystore"]).arg(store);
    command.args(arguments).args(file);
    let output = command.output().map_err(|error| Trouble::skip(format!("keytool does not run: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("keytool {verb}: {}", String::from_utf8_lossy(&output.stdout).trim()).into())
}
