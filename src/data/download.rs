//! Files from the network, each downloaded once, checked, and kept by its checksum.

use super::DataError;
use crate::hash;
use sha2::{Digest, Sha256};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::Agent;
use ureq::http::Uri;

/// The user's folder for downloads: `$RUNNER_CACHE`, else `$XDG_CACHE_HOME/runner`, else
/// `~/.cache/runner`.
pub fn cache_folder() -> Result<PathBuf, DataError> {
    cache_folder_in(|name| env::var_os(name)).ok_or(DataError::NoCacheFolder)
}

/// [`cache_folder`] of an environment. A variable that is empty counts as absent.
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

/// Path of the file with this checksum in the folder, downloaded where it is not there yet.
///
/// Downloads of one file at a time are safe: each is written beside its place and renamed when it is
/// complete and right, and all bring the same bytes.
pub fn download(url: &str, sha256: &str, limit: u64, cache: &Path) -> Result<PathBuf, DataError> {
    let path = cache.join(format!("{sha256}.txt"));
    if path.is_file() && hash::sha256_file(&path).map_err(DataError::read(&path))? == sha256 {
        return Ok(path);
    }
    fs::create_dir_all(cache).map_err(DataError::write(cache))?;
    let mut file = tempfile::Builder::new()
        .prefix(".partial-")
        .tempfile_in(cache)
        .map_err(DataError::write(cache))?;
    let found = fetch(url, limit, file.as_file_mut(), &path)?;
    if found != sha256 {
        return Err(DataError::Checksum {
            url: url.to_owned(),
            expected: sha256.to_owned(),
            found,
        });
    }
    file.as_file().sync_all().map_err(DataError::write(&path))?;
    file.persist(&path)
        .map_err(|error| DataError::write(&path)(error.error))?;
    Ok(path)
}

/// Streams a body into a file, and returns its checksum.
fn fetch(url: &str, limit: u64, file: &mut fs::File, path: &Path) -> Result<String, DataError> {
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
    super::sources::within_limit(url, expected.unwrap_or(0), limit)?;
    let mut body = response.into_body().into_reader();
    let mut hash = Sha256::new();
    let mut received = 0;
    let mut piece = vec![0; 1 << 16];
    loop {
        let read = body.read(&mut piece).map_err(|error| DataError::CutOff {
            url: url.to_owned(),
            received,
            expected,
            reason: error.to_string(),
        })?;
        if read == 0 {
            return Ok(hash::hex(&hash.finalize()));
        }
        received += read as u64;
        if received > limit {
            return Err(DataError::OverLimit {
                what: url.to_owned(),
                limit,
            });
        }
        hash.update(&piece[..read]);
        file.write_all(&piece[..read])
            .map_err(DataError::write(path))?;
    }
}

/// A client that gives up on a silent server, however large the file. Proxies are those of the
/// environment, but for this machine itself.
fn agent(url: &str) -> Agent {
    let quiet = Some(Duration::from_secs(30));
    let config = Agent::config_builder()
        .user_agent(concat!("runner/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .timeout_resolve(quiet)
        .timeout_connect(quiet)
        .timeout_recv_response(quiet)
        .timeout_per_read(quiet);
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
    fn the_cache_is_where_the_user_says() {
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
