//! Downloads from a server that the test starts.

use runner::data::DataError;
use runner::data::download::{cached_path, download};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tempfile::TempDir;

const TEXT: &str = "It was the best of kettles, it was the worst of kettles.\n";

/// An HTTP server that answers until the test ends.
struct Server {
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl Server {
    /// `answer` receives the path of the request and the port, and returns the response with its
    /// headers.
    fn start(answer: impl Fn(&str, u16) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
                // Some tests end the connection early, so an error is ignored.
                let _ = respond(stream.unwrap(), |path| answer(path, port));
            }
        });
        Self { port, requests }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn respond(mut stream: TcpStream, answer: impl Fn(&str) -> String) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or("/");
    stream.write_all(answer(path).as_bytes())
}

fn ok(length: usize, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn sha256(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The error message of a download into an empty cache, which must be empty afterwards.
fn fail(url: &str, limit: u64) -> String {
    let cache = TempDir::new().unwrap();
    let error = download(url, &sha256(TEXT), limit, cache.path()).unwrap_err();
    assert_eq!(
        fs::read_dir(cache.path()).unwrap().count(),
        0,
        "there are leftovers"
    );
    error.to_string()
}

#[test]
fn a_file_is_downloaded_once() {
    let server = Server::start(|_, _| ok(TEXT.len(), TEXT));
    let cache = TempDir::new().unwrap();
    let get = || download(&server.url("/"), &sha256(TEXT), 1000, cache.path()).unwrap();
    assert_eq!(get(), TEXT.as_bytes());
    assert_eq!(get(), TEXT.as_bytes());
    assert_eq!(server.requests(), 1);
    let cached = cached_path(&sha256(TEXT), cache.path());
    assert_eq!(fs::read_to_string(cached).unwrap(), TEXT);
}

#[test]
fn a_damaged_file_in_the_cache_is_downloaded_again() {
    let server = Server::start(|_, _| ok(TEXT.len(), TEXT));
    let cache = TempDir::new().unwrap();
    let get = || download(&server.url("/"), &sha256(TEXT), 1000, cache.path()).unwrap();
    get();
    let cached = cached_path(&sha256(TEXT), cache.path());
    fs::write(&cached, "the worst of kettles only").unwrap();
    assert_eq!(get(), TEXT.as_bytes());
    assert_eq!(fs::read_to_string(cached).unwrap(), TEXT);
    assert_eq!(server.requests(), 2);
}

#[test]
fn parallel_downloads_store_one_file() {
    let server = Server::start(|_, _| ok(TEXT.len(), TEXT));
    let cache = TempDir::new().unwrap();
    let get = || download(&server.url("/"), &sha256(TEXT), 1000, cache.path()).unwrap();
    let texts: Vec<Vec<u8>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(get)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(texts.iter().all(|text| text == TEXT.as_bytes()));
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1);
}

#[test]
fn a_redirect_is_followed() {
    let server = Server::start(|path, port| match path {
        "/old" => format!(
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{port}/new\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        ),
        _ => ok(TEXT.len(), TEXT),
    });
    let cache = TempDir::new().unwrap();
    let text = download(&server.url("/old"), &sha256(TEXT), 1000, cache.path()).unwrap();
    assert_eq!(text, TEXT.as_bytes());
}

#[test]
fn a_damaged_file_is_named_before_the_failed_download() {
    let server = Server::start(|_, _| ok(4, "soup"));
    let cache = TempDir::new().unwrap();
    let path = cached_path(&sha256(TEXT), cache.path());
    fs::write(&path, "damaged").unwrap();
    let error = download(&server.url("/"), &sha256(TEXT), 1000, cache.path()).unwrap_err();
    let expected = format!("the downloaded file {} is damaged: ", path.display());
    let error = error.to_string();
    assert!(error.starts_with(&expected), "{error}");
    assert!(error.contains("/ has the SHA-256 checksum "), "{error}");
    assert_eq!(fs::read_to_string(path).unwrap(), "damaged");
}

#[test]
fn a_wrong_checksum_is_an_error_with_both_checksums() {
    let server = Server::start(|_, _| ok(4, "soup"));
    let url = server.url("/");
    assert_eq!(
        fail(&url, 1000),
        format!(
            "{url} has the SHA-256 checksum {}, expected {}",
            sha256("soup"),
            sha256(TEXT)
        )
    );
}

#[test]
fn an_incomplete_body_is_an_error() {
    let server = Server::start(|_, _| ok(TEXT.len(), &TEXT[..20]));
    let url = server.url("/");
    let error = fail(&url, 1000);
    let expected = format!(
        "the download of {url} was interrupted after 20 of {} bytes: ",
        TEXT.len()
    );
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn a_body_over_the_limit_is_an_error_with_and_without_a_stated_length() {
    let stated = Server::start(|_, _| ok(TEXT.len(), TEXT));
    let url = stated.url("/");
    let length = TEXT.len();
    assert_eq!(
        fail(&url, 30),
        format!("{url} has {length} bytes; data.max_bytes allows at most 30")
    );
    let silent = Server::start(|_, _| {
        format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}",
            TEXT.repeat(5000)
        )
    });
    let url = silent.url("/");
    assert_eq!(
        fail(&url, 30),
        format!("{url} has more than 30 bytes, the limit that data.max_bytes sets")
    );
}

#[test]
fn an_http_error_names_the_url_and_the_status() {
    let server = Server::start(|_, _| {
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
    });
    let url = server.url("/nothing");
    assert_eq!(
        fail(&url, 1000),
        format!("cannot download {url}: the server answered with status 404")
    );
}

#[test]
fn without_a_server_the_error_names_two_alternatives() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}/");
    let cache = TempDir::new().unwrap();
    let error = download(&url, &sha256(TEXT), 1000, cache.path()).unwrap_err();
    assert!(matches!(error, DataError::Unreachable { .. }));
    let error = error.to_string();
    assert!(
        error.starts_with(&format!("cannot download {url}: ")),
        "{error}"
    );
    assert!(
        error.ends_with(
            "; without a network, set data.source to the path of a file or to builtin:plays"
        ),
        "{error}"
    );
}
