//! Which registry to ask, and how. Never shows a password.

use std::path::PathBuf;
use std::time::Duration;

use ureq::http::Uri;

use crate::config::{Property, Secret};

/// Which registry to ask, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Where the registry is: one address or several of the same registry, tried in turn. None if there is no registry.
    pub urls: Vec<String>,
    /// The user of basic authentication.
    pub username: Option<Property>,
    /// Its password.
    pub password: Option<Secret>,
    /// The token of bearer authentication, instead of a user and a password.
    pub token: Option<Secret>,
    /// A file of certificates (PEM) that is trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// How long one request may take, all in all.
    pub request_timeout: Duration,
}

impl Default for RegistrySettings {
    fn default() -> RegistrySettings {
        RegistrySettings {
            urls: Vec::new(),
            username: None,
            password: None,
            token: None,
            ca_file: None,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(10),
        }
    }
}

impl RegistrySettings {
    /// A registry at `urls`, separated by commas, and defaults for the rest.
    ///
    /// # Errors
    /// If one of them cannot be asked.
    pub fn at(urls: &str) -> Result<RegistrySettings, WrongUrl> {
        Ok(RegistrySettings { urls: parse_urls(urls)?, ..RegistrySettings::default() })
    }
}

/// What is wrong with an address of a registry. It does not show the address, in which a password may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrongUrl {
    /// It is none.
    #[error("is no address: expected `http://host:port` or `https://host:port`, several with commas between")]
    NoUrl,
    /// A user and perhaps a password stand in it.
    #[error("has credentials in it: put them under `schema_registry.username` and `schema_registry.password`")]
    Credentials,
}

/// The addresses in a list with commas between. None may hold credentials: addresses are shown.
///
/// # Errors
/// If one of them is no address of HTTP, or has credentials in it.
pub fn parse_urls(urls: &str) -> Result<Vec<String>, WrongUrl> {
    urls.split(',').map(str::trim).filter(|url| !url.is_empty()).map(parse_url).collect()
}

fn parse_url(url: &str) -> Result<String, WrongUrl> {
    let (scheme, rest) = url.split_once("://").ok_or(WrongUrl::NoUrl)?;
    if rest.contains('@') {
        return Err(WrongUrl::Credentials);
    }
    let is_http = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let uri: Uri = url.parse().map_err(|_| WrongUrl::NoUrl)?;
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    if !is_http || !has_host || uri.query().is_some() || rest.contains('#') {
        return Err(WrongUrl::NoUrl);
    }
    Ok(url.trim_end_matches('/').to_owned())
}
