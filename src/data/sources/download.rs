//! Files from the network. Each is downloaded once, checked, and stored under its checksum.

use crate::data::{DataError, size_limit};
use crate::hash;
use crate::regular_file::{self, is_wrong_kind};
use crate::results::write_atomic;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::Agent;
use ureq::http::Uri;

/// The user's folder for downloads: `$RUNNER_CACHE`, else `$XDG_CACHE_HOME/runner`, else
/// `~/.cache/runner`.
pub fn cache_folder() -> Result<PathBuf, DataError> {
    cache_folder_in(|name| env::var_os(name)).ok_or(DataError::NoCacheFolder)
}

/// [`cache_folder`] for given environment variables. An empty variable counts as unset.
fn cache_folder_in(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    folder("RUNNER_CACHE")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("runner")))
        .or_else(|| Some(folder("HOME")?.join(".cache/runner")))
}

/// The path in `cache` of the file with a checksum.
pub fn cached_path(sha256: &str, cache: &Path) -> PathBuf {
    cache.join(format!("{sha256}.txt"))
}

/// The bytes of the file with a checksum. The file is downloaded to `cache`, unless it is there
/// already and undamaged. `limit` is the largest accepted size in bytes.
///
/// Several processes may download the same file at the same time. All of them store the same bytes,
/// and a stored file is complete or absent.
pub fn download(url: &str, sha256: &str, limit: u64, cache: &Path) -> Result<Vec<u8>, DataError> {
    let path = cached_path(sha256, cache);
    let is_damaged = match regular_file::read(&path) {
        Ok(bytes) if hash::sha256(&bytes) == sha256 => {
            size_limit::check(url, bytes.len() as u64, limit)?;
            return Ok(bytes);
        }
        // The cached file is damaged, so it is downloaded again.
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::NotFound || is_wrong_kind(&error) => false,
        Err(error) => return Err(DataError::read(&path)(error)),
    };
    let bytes = fetch_checked(url, sha256, limit).map_err(|cause| match is_damaged {
        true => DataError::DamagedDownload {
            path: path.clone(),
            cause: Box::new(cause),
        },
        false => cause,
    })?;
    fs::create_dir_all(cache).map_err(DataError::write(cache))?;
    write_atomic(&path, &bytes).map_err(DataError::write(&path))?;
    Ok(bytes)
}

/// [`fetch`] of a file with this checksum.
fn fetch_checked(url: &str, sha256: &str, limit: u64) -> Result<Vec<u8>, DataError> {
    let bytes = fetch(url, limit)?;
    let found = hash::sha256(&bytes);
    if found != sha256 {
        return Err(DataError::Checksum {
            url: url.to_owned(),
            expected: sha256.to_owned(),
            found,
        });
    }
    Ok(bytes)
}

/// The body of a response. Receiving stops as soon as the body is longer than `limit`.
fn fetch(url: &str, limit: u64) -> Result<Vec<u8>, DataError> {
    let response = agent(url)
        .get(url)
        .call()
        .map_err(|error| DataError::Unreachable {
            url: url.to_owned(),
            reason: error.to_string(),
        })?;
    let status = response.status();
    if !status.is_success() {
        return Err(DataError::Status {
            url: url.to_owned(),
            status: status.as_u16(),
        });
    }
    let expected = response.body().content_length();
    size_limit::check(url, expected.unwrap_or(0), limit)?;
    let mut body = response.into_body().into_reader();
    let mut received = Vec::new();
    body.by_ref()
        .take(limit.saturating_add(1))
        .read_to_end(&mut received)
        .map_err(|error| DataError::Interrupted {
            url: url.to_owned(),
            received: received.len() as u64,
            expected,
            reason: error.to_string(),
        })?;
    if received.len() as u64 > limit {
        return Err(DataError::OverLimit {
            name: url.to_owned(),
            limit,
        });
    }
    Ok(received)
}

/// An HTTP client whose timeouts apply to each step and not to the whole download, so that a large
/// file may take long but a server that stops sending is given up. The proxy is taken from the
/// environment, except for addresses of this machine.
fn agent(url: &str) -> Agent {
    let timeout = Some(Duration::from_secs(30));
    let config = Agent::config_builder()
        .user_agent(concat!("runner/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .timeout_resolve(timeout)
        .timeout_connect(timeout)
        .timeout_recv_response(timeout)
        .timeout_per_read(timeout);
    let host = url.parse::<Uri>().ok();
    let host = host.as_ref().and_then(Uri::host).unwrap_or_default();
    if matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
        return config.proxy(None).build().into();
    }
    config.build().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_variables_select_the_cache_folder() {
        let folder = |variables: &[(&str, &str)]| {
            let of = |name: &str| variables.iter().find(|(key, _)| *key == name);
            cache_folder_in(|name| of(name).map(|(_, value)| OsString::from(value)))
        };
        let all = [
            ("HOME", "/h"),
            ("XDG_CACHE_HOME", "/x"),
            ("RUNNER_CACHE", "/r"),
        ];
        assert_eq!(folder(&all), Some(PathBuf::from("/r")));
        assert_eq!(folder(&all[..2]), Some(PathBuf::from("/x/runner")));
        assert_eq!(folder(&all[..1]), Some(PathBuf::from("/h/.cache/runner")));
        assert_eq!(folder(&[("RUNNER_CACHE", "")]), None);
    }
}
